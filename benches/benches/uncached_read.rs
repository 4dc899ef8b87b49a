//! An uncached read against the same request by a bare HTTP client (hyper, one kept-alive connection, the body
//! collected): what the client's care costs per request.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

use std::hint::black_box;

use benches::measure::{Rounds, Verdict};
use benches::{client, fake_vault, path};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use secrets_service::ReadOptions;
use tokio::time::Instant;

const READS: usize = 4_000;
const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The server has a thread of its own, so that client and server do not take turns on one.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = server.block_on(fake_vault::start())?;
    runtime.block_on(compare(&address))
}

async fn compare(address: &str) -> anyhow::Result<()> {
    let ours = client(address, 100)?;
    let wanted = path(1);
    ours.get_secret(&wanted).await?;
    let options = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
    let bare: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url = format!("{address}/v1/{}", wanted.replacen("secret/", "secret/data/", 1));
    let mount = ours.vault().kv2("secret");
    let rest = wanted.trim_start_matches("secret/");

    let [mut through_cache, mut by_library, mut by_bare] = std::array::from_fn(|_| Rounds::default());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..READS {
            black_box(ours.get_secret_with(&wanted, options).await?);
        }
        through_cache.add(READS, started.elapsed());

        let started = Instant::now();
        for _ in 0..READS {
            black_box(mount.read(rest).await?);
        }
        by_library.add(READS, started.elapsed());

        let started = Instant::now();
        for _ in 0..READS {
            let request = Request::get(&url)
                .header("X-Vault-Request", "true")
                .header("X-Vault-Token", "root")
                .body(Empty::new())?;
            black_box(bare.request(request).await?.into_body().collect().await?.to_bytes());
        }
        by_bare.add(READS, started.elapsed());
    }

    println!("uncached read over loopback, median of {ROUNDS} rounds of {READS} reads (us)");
    for (name, rounds) in [
        ("get_secret, cache bypassed", &through_cache),
        ("gds_vault kv2 read", &by_library),
        ("bare hyper request", &by_bare),
    ] {
        println!("  {name:<58} {:>9.1}", rounds.median() / 1e3);
    }
    let mut verdict = Verdict::default();
    verdict.at_most("get_secret (bypass) / bare", through_cache.ratio_to(&by_bare), 1.1);
    verdict.at_most("gds_vault / bare", by_library.ratio_to(&by_bare), 1.1);
    verdict.finish()
}
