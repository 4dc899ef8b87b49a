//! A backend service as most are: it answers from PostgreSQL, and calls somebody else's API with a key. Database
//! credentials and the key come from Vault; the credentials rotate, the key may be changed at any time, and Vault may be
//! away for a while.
//!
//! | | |
//! |---|---|
//! | `GET /items` | from the database |
//! | `POST /items/{id}/charge` | to the external API, with the key `stripe` |
//! | `GET /health/live` | 200 while the process runs |
//! | `GET /health/ready` | 200 if the database answers; how Vault is doing, in words |
//!
//! ```text
//! secrets-service dev &     # a Vault and a PostgreSQL; prints what to export
//! PAYMENTS_URL=http://127.0.0.1:9000 cargo run -p examples --bin web-service
//! ```

#![allow(clippy::print_stdout, reason = "one line says where it listens")]

mod payments;

use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use payments::Payments;
use secrets_service::pool::sqlx::RotatingPgPool;
use secrets_service::{OnClose, SecretsService};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone)]
struct App {
    secrets: SecretsService,
    pool: RotatingPgPool,
    payments: Payments,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());

    let secrets = SecretsService::from_environment()?;
    let pool = RotatingPgPool::builder(&secrets.database().await?, secrets.rotating_credentials().await?)
        .pool_options(PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(5)))
        .build()?;
    let payments = Payments::new(&setting("PAYMENTS_URL", "http://127.0.0.1:9000"), secrets.clone())?;
    let app = App { secrets, pool, payments };

    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await.context("LISTEN")?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes(app.clone())).with_graceful_shutdown(told_to_stop()).await?;

    // Requests have been answered. Give back what was borrowed: the database user goes, and the login.
    app.pool.close().await;
    app.secrets.close(OnClose::Revoke).await?;
    Ok(())
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/items", get(items))
        .route("/items/{id}/charge", post(charge))
        .route("/health/live", get(|| async { "alive" }))
        .route("/health/ready", get(ready))
        .with_state(app)
}

async fn items(State(app): State<App>) -> Result<Json<Value>, Failure> {
    let rows = sqlx::query("SELECT id, n FROM items ORDER BY id LIMIT 100").fetch_all(&*app.pool).await?;
    let items: Result<Vec<Value>, sqlx::Error> = rows
        .iter()
        .map(|row| Ok(json!({"id": row.try_get::<i32, _>("id")?, "n": row.try_get::<i32, _>("n")?})))
        .collect();
    Ok(Json(json!({"items": items?})))
}

async fn charge(State(app): State<App>, Path(id): Path<i32>) -> Result<Response, Failure> {
    let mut transaction = app.pool.begin().await?;
    let counted =
        sqlx::query("UPDATE items SET n = n + 1 WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    if counted.rows_affected() == 0 {
        return Ok((StatusCode::NOT_FOUND, Json(json!({"error": "there is no such item"}))).into_response());
    }
    // Committed only if it was charged.
    let receipt = app.payments.charge(id).await?;
    transaction.commit().await?;
    Ok(Json(json!({"receipt": receipt})).into_response())
}

async fn ready(State(app): State<App>) -> Response {
    let database = sqlx::query("SELECT 1").execute(&*app.pool).await;
    let vault = app.secrets.vault().status();
    let credentials = app.secrets.vault().leases().into_iter().map(|lease| {
        json!({
            "path": lease.path,
            "ends_in_seconds": lease.ends_in.as_secs(),
            "trouble": lease.last_error.map(|error| error.to_string()),
        })
    });
    let body = json!({
        "database": database.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned()),
        "credentials": credentials.collect::<Vec<_>>(),
        // An unavailable Vault is no reason to stop serving: credentials and key are at hand. It is one to be told.
        "vault": vault.login_error.map_or_else(|| "ok".to_owned(), |error| error.to_string()),
        "mounts_in_trouble": vault.troubled_mounts.into_iter().map(|(mount, ..)| mount).collect::<Vec<_>>(),
    });
    let status = if database.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// The caller learns that it failed, the log why.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!("{:#}", self.0);
        (StatusCode::BAD_GATEWAY, Json(json!({"error": "try again later"}))).into_response()
    }
}

async fn told_to_stop() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
