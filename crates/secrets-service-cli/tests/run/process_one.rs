//! As process 1 of a PID namespace. Where none can be made (no root, no unshare) the adoption of orphans, which needs
//! no namespace, is tested alone.

use crate::support::Vault;
use crate::world::eventually;

/// The program starts a process that starts another and ends; the orphan ends later, and must not stay as a zombie.
const ORPHAN: &str = "sh -c 'sh -c \"sleep 0.2; exit 1\" & exit 0'; sleep 1; tries=0; \
    zombies() { for stat in /proc/[0-9]*/stat; do cat $stat 2>/dev/null; done | grep -c ') Z '; }; \
    while zombies >/dev/null && [ $tries -lt 300 ]; do tries=$((tries + 1)); sleep 0.1; done; \
    zombies || true";

#[tokio::test]
async fn row23_orphans_are_taken_note_of() {
    let vault = Vault::start().await;
    let make = || vault.run(&["run", "--", "sh", "-c", ORPHAN]);
    let unshare = ["unshare", "--fork", "--pid", "--mount-proc"];
    let possible = std::process::Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
    if possible.is_ok_and(|output| output.status.success()) {
        let mut invocation = make();
        invocation.through(&unshare);
        let ended = invocation.run().await;
        assert_eq!(ended.succeeded().trim(), "0", "zombies");
        // Its exit code is kept, and signals that would be ignored by a process 1 without a handler get through.
        let script = "kill -TERM 1; while :; do sleep 0.05; done";
        let mut invocation = vault.run(&["run", "--", "sh", "-c", script]);
        invocation.through(&unshare);
        assert_eq!(invocation.run().await.code(), 143);
        // Everything ends, even what left the group.
        let mut invocation = vault.run(&["run", "--", "sh", "-c", "setsid sleep 600 & exit 3"]);
        invocation.through(&unshare);
        assert_eq!(invocation.run().await.code(), 3);
    } else {
        eprintln!("no PID namespace can be made here: only the adoption of orphans is tested");
    }
    let mut running = make().spawn();
    let pid = running.child.id().unwrap();
    let zombies = || {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let states = list.split_whitespace().map(|child| {
            std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default().contains(") Z ")
        });
        states.filter(|zombie| *zombie).count()
    };
    eventually("no zombies", || zombies() == 0).await;
    running.child.wait().await.unwrap();
}
