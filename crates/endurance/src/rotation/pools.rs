//! What is done through a pool, whichever it is.

use std::time::Duration;

use deadpool_postgres::tokio_postgres::NoTls;
use deadpool_postgres::{ConfigConnectImpl, PoolConfig};
use secrets_service::pool::deadpool::{RotatingManager, RotatingPool};
use secrets_service::pool::sqlx::RotatingPgPool;
use secrets_service::{DatabaseTarget, RotatingCredentials};
use sqlx::Row as _;
use sqlx::postgres::PgPoolOptions;

/// The user that the database took the query from, or what went wrong.
type Answered = Result<String, String>;

const QUERY: &str = "SELECT session_user::text, count(*) FROM items";
const CHANGE: &str = "UPDATE items SET n = n + 1 WHERE id = $1 RETURNING session_user::text";

/// A pool under test.
pub trait Pool: Clone + Send + Sync + 'static {
    /// For the report.
    const NAME: &'static str;

    /// With so many connections at most.
    fn new(database: &DatabaseTarget, credentials: RotatingCredentials, size: u32) -> Self;

    /// Reads the table.
    fn query(&self) -> impl Future<Output = Answered> + Send;

    /// Changes that row, takes its time, and commits.
    fn change(&self, item: i32, length: Duration) -> impl Future<Output = Answered> + Send;

    /// Reads the table through a connection that is closed afterwards.
    fn query_and_close(&self) -> impl Future<Output = Answered> + Send;

    /// Closes the pool.
    fn close(self) -> impl Future<Output = ()> + Send;
}

fn told(error: impl std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

/// sqlx.
#[derive(Clone)]
pub struct Sqlx(pub RotatingPgPool);

impl Pool for Sqlx {
    const NAME: &'static str = "sqlx";

    fn new(database: &DatabaseTarget, credentials: RotatingCredentials, size: u32) -> Self {
        let options = PgPoolOptions::new().max_connections(size);
        Self(RotatingPgPool::builder(database, credentials).pool_options(options).build().unwrap())
    }

    async fn query(&self) -> Answered {
        // As an application does that knows only `PgPool`.
        let row = sqlx::query(QUERY).fetch_one(&*self.0).await.map_err(told)?;
        row.try_get(0).map_err(told)
    }

    async fn change(&self, item: i32, length: Duration) -> Answered {
        let mut transaction = self.0.begin().await.map_err(told)?;
        let row = sqlx::query(CHANGE).bind(item).fetch_one(&mut *transaction).await.map_err(told)?;
        tokio::time::sleep(length).await;
        transaction.commit().await.map_err(told)?;
        row.try_get(0).map_err(told)
    }

    async fn query_and_close(&self) -> Answered {
        let mut connection = self.0.acquire().await.map_err(told)?;
        let row = sqlx::query(QUERY).fetch_one(&mut *connection).await.map_err(told)?;
        connection.close().await.map_err(told)?;
        row.try_get(0).map_err(told)
    }

    async fn close(self) {
        self.0.close().await;
    }
}

/// deadpool and tokio-postgres.
#[derive(Clone)]
pub struct Deadpool(pub RotatingPool);

impl Pool for Deadpool {
    const NAME: &'static str = "deadpool";

    fn new(database: &DatabaseTarget, credentials: RotatingCredentials, size: u32) -> Self {
        let manager = RotatingManager::new(database, credentials, ConfigConnectImpl { tls: NoTls }).unwrap();
        Self(manager.into_pool(PoolConfig::new(size as usize)).unwrap())
    }

    async fn query(&self) -> Answered {
        let client = self.0.get().await.map_err(told)?;
        let statement = client.prepare_cached(QUERY).await.map_err(told)?;
        client.query_one(&statement, &[]).await.map(|row| row.get(0)).map_err(told)
    }

    async fn change(&self, item: i32, length: Duration) -> Answered {
        let mut client = self.0.get().await.map_err(told)?;
        let transaction = client.transaction().await.map_err(told)?;
        let row = transaction.query_one(CHANGE, &[&item]).await.map_err(told)?;
        tokio::time::sleep(length).await;
        transaction.commit().await.map_err(told)?;
        Ok(row.get(0))
    }

    async fn query_and_close(&self) -> Answered {
        let client = self.0.get().await.map_err(told)?;
        let answer = client.query_one(QUERY, &[]).await.map(|row| row.get(0)).map_err(told);
        client.close();
        answer
    }

    async fn close(self) {
        self.0.close();
    }
}
