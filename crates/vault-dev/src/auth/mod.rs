//! Auth methods: each turns some proof into a token. To add one, implement `Engine` and name it in `sys::mounts`.

mod approle;
mod token;
mod token_params;
mod userpass;

pub(crate) use approle::AppRole;
pub(crate) use token::TokenAuth;
pub(crate) use userpass::Userpass;
