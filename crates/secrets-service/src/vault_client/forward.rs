//! Requests that are passed on as they came, with this client's login: for proxies. Nothing is cached or retried
//! here, and no breaker is asked: whoever made the request decides what to do about its answer.

use gds_vault::{Forward, Forwarded, SecretPath};
use tokio::time::Instant;

use super::ResilientVaultClient;
use crate::error::{Error, ErrorKind};
use crate::session::Verdict;

/// Where a refusal says why; longer ones are not Vault's.
const LONGEST_REFUSAL: usize = 64 * 1024;

impl ResilientVaultClient {
    /// What is mounted where `path` lies: remembered, or asked once for all who want to know.
    pub async fn find_mount<'p>(&self, path: &'p str) -> Result<SecretPath<'p>, Error> {
        self.check_open()?;
        self.resolve(path, Instant::now() + self.shared.read_deadline).await
    }

    /// Passes a request on with the token of the current login. If Vault calls that token dead, and the request can
    /// be sent again, there is one new login and one more try. Any answer is `Ok`, whatever its status.
    pub async fn forward(&self, request: Forward) -> Result<Forwarded, Error> {
        self.check_open()?;
        let shared = &self.shared;
        let deadline = Instant::now() + shared.read_deadline;
        let path = request.path().to_owned();
        let login = shared.session.login(deadline).await.map_err(|error| error.about(&path))?;
        shared.saw_login(&login);
        let again = request.try_clone();
        let answer = self.send(request, &path).await?;
        let Some(again) = again.filter(|_| answer.status == 403) else { return Ok(answer) };
        let answer =
            answer.collect(LONGEST_REFUSAL).await.map_err(|error| Error::from_vault(&path, error))?;
        let surely_dead = answer.says_that_the_token_is_dead();
        match shared.session.denied(&login, surely_dead, deadline).await {
            Ok(Verdict::TryAgain) => {
                // Whatever hangs on the dead token is dead as well.
                shared.drop_bound_to(login.generation);
                self.send(again, &path).await
            }
            Ok(Verdict::Genuine) | Err(_) => Ok(answer),
        }
    }

    async fn send(&self, request: Forward, path: &str) -> Result<Forwarded, Error> {
        let client = &self.shared.client;
        let token = client
            .token()
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, path, "the login has just been given up"))?;
        client.forward(request.token(&token)).await.map_err(|error| Error::from_vault(path, error))
    }
}
