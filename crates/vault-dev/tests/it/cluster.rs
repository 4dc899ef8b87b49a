//! The throw-away PostgreSQL.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpStream;
use vault_dev::postgres::Cluster;

#[tokio::test]
async fn runs_with_tcp_socket_and_password() {
    let cluster = Cluster::start().await.unwrap();
    let admin = cluster.admin_connect().await.unwrap();
    let fsync: String = admin.query_one("SHOW fsync", &[]).await.unwrap().get(0);
    assert_eq!(fsync, "off");
    let error = cluster.connect_as("postgres", "wrong").await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(cluster.socket_dir())
        .port(cluster.port())
        .user(cluster.user())
        .password(cluster.password())
        .dbname(cluster.database())
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let one: i32 = client.query_one("SELECT 1", &[]).await.unwrap().get(0);
    assert_eq!(one, 1);
    assert!(!format!("{cluster:?}").contains(cluster.password()));
}

#[tokio::test]
async fn two_at_a_time_and_nothing_is_left() {
    let (one, other) = tokio::join!(Cluster::start(), Cluster::start());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.port(), other.port());
    let (dir, port): (PathBuf, u16) = (one.socket_dir().to_owned(), one.port());
    drop(one);
    assert!(!dir.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let dir = other.socket_dir().to_owned();
    other.stop().await;
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_restart_keeps_port_and_data() {
    let mut cluster = Cluster::start().await.unwrap();
    let port = cluster.port();
    let admin = cluster.admin_connect().await.unwrap();
    admin.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)").await.unwrap();
    cluster.restart().await.unwrap();
    assert!(admin.query_one("SELECT n FROM t", &[]).await.is_err(), "connections break");
    assert_eq!(cluster.port(), port);
    let again = cluster.admin_connect().await.unwrap();
    let n: i32 = again.query_one("SELECT n FROM t", &[]).await.unwrap().get(0);
    assert_eq!(n, 7);
    cluster.stop_server().await;
    assert!(cluster.admin_connect().await.is_err());
    cluster.start_server().await.unwrap();
    assert!(cluster.admin_connect().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn starts_under_a_paused_clock() {
    let cluster = Cluster::start().await.unwrap();
    assert_ne!(cluster.port(), 0);
}

/// Not a test by itself: [`a_killed_process_leaves_nothing`] runs it in a process of its own.
#[tokio::test]
#[ignore = "the other half of a_killed_process_leaves_nothing"]
async fn waits_to_be_killed() {
    let cluster = Cluster::start().await.unwrap();
    eprintln!("DIR={}", cluster.socket_dir().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_process_leaves_nothing() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::waits_to_be_killed", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let dir = loop {
        let line = lines.next_line().await.unwrap().expect("the child says where its cluster is");
        if let Some((_, dir)) = line.split_once("DIR=") {
            break PathBuf::from(dir);
        }
    };
    assert!(dir.exists());
    child.kill().await.unwrap();
    // The keeper of the dead process needs a moment; the bound is only a hang guard.
    let gone = async {
        while dir.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the directory goes away");
}
