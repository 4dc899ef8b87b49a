//! An uncached read against the same request by a bare HTTP client (hyper, one kept-alive connection, the body
//! collected): what the client's care costs per request. Once against a server that does nothing, once against a
//! real Vault if there is one.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

use std::hint::black_box;

use benches::measure::{Rounds, Verdict};
use benches::real_vault::Fields;
use benches::{client, fake_vault, path, real_vault};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use secrets_service::ReadOptions;
use tokio::time::Instant;

/// Short rounds, many of them: what disturbs the machine for a moment disturbs few of them.
const ROUNDS: usize = 41;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The server has a thread of its own, so that client and server do not take turns on one.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut verdict = Verdict::default();

    let address = server.block_on(fake_vault::start())?;
    // In a task, as in a service: a request from `block_on` wakes another thread on its way out and back.
    let [get_secret, library, bare] = runtime.block_on(runtime.spawn(compare(address, 1_000)))??;
    report("a server that does nothing", &get_secret, &library, &bare);
    verdict.at_most("get_secret (bypass) / bare, empty server", get_secret.ratio_to(&bare), 1.1);
    verdict.at_most("gds_vault / bare, empty server", library.ratio_to(&bare), 1.1);

    if let Some(vault) = runtime.block_on(real_vault::start())? {
        runtime.block_on(write_secret(&vault))?;
        let [get_secret, library, bare] =
            runtime.block_on(runtime.spawn(compare(vault.address.clone(), 200)))??;
        report("a real Vault", &get_secret, &library, &bare);
        verdict.at_most("get_secret (bypass) / bare, real Vault", get_secret.ratio_to(&bare), 1.1);
        verdict.at_most("gds_vault / bare, real Vault", library.ratio_to(&bare), 1.1);
    } else {
        println!("  (no real Vault on this machine: `make vault` obtains one)");
    }
    verdict.finish()
}

fn report(server: &str, get_secret: &Rounds, library: &Rounds, bare: &Rounds) {
    println!("uncached read over loopback from {server}, median of {ROUNDS} rounds (us)");
    for (name, rounds) in [
        ("get_secret, cache bypassed", get_secret),
        ("gds_vault kv2 read", library),
        ("bare hyper request", bare),
    ] {
        println!("  {name:<58} {:>9.1}", rounds.median() / 1e3);
    }
}

async fn write_secret(vault: &real_vault::RealVault) -> anyhow::Result<()> {
    let fields = Fields::from([
        ("db_host", "db.internal.example.com"),
        ("db_name", "orders"),
        ("db_port", "5432"),
        ("api_key", "0123456789abcdef0123456789abcdef0123456789abcdef"),
        ("endpoint", "https://api.example.com/v2/payments"),
    ]);
    let wanted = path(1);
    vault.client()?.kv2("secret").put(wanted.trim_start_matches("secret/"), &fields, None).await?;
    Ok(())
}

/// Through the cache's client, by the library alone, by a bare client.
async fn compare(address: String, reads: usize) -> anyhow::Result<[Rounds; 3]> {
    let ours = client(&address, 100)?;
    let wanted = path(1);
    ours.get_secret(&wanted).await?;
    let options = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
    let bare: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url = format!("{address}/v1/{}", wanted.replacen("secret/", "secret/data/", 1));
    let mount = ours.vault().kv2("secret");
    let rest = wanted.trim_start_matches("secret/");

    let [mut through_cache, mut by_library, mut by_bare] = std::array::from_fn(|_| Rounds::default());
    // The first round only warms up.
    for round in 0..=ROUNDS {
        let started = Instant::now();
        for _ in 0..reads {
            black_box(ours.get_secret_with(&wanted, options).await?);
        }
        let took_through_cache = started.elapsed();

        let started = Instant::now();
        for _ in 0..reads {
            black_box(mount.read(rest).await?);
        }
        let took_by_library = started.elapsed();

        let started = Instant::now();
        for _ in 0..reads {
            let request = Request::get(&url)
                .header("X-Vault-Request", "true")
                .header("X-Vault-Token", "root")
                .body(Empty::new())?;
            black_box(bare.request(request).await?.into_body().collect().await?.to_bytes());
        }
        if round > 0 {
            by_bare.add(reads, started.elapsed());
            through_cache.add(reads, took_through_cache);
            by_library.add(reads, took_by_library);
        }
    }
    Ok([through_cache, by_library, by_bare])
}
