//! placeholder
use crate::core::{BoxFuture, Call, Engine, Refusal, Reply};

#[derive(Default)]
pub(crate) struct Database {}

impl Engine for Database {
    fn handle<'a>(&'a self, _call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::ready(Err(Refusal::unsupported_path())))
    }
}
