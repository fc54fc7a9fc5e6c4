//! A run that dies after the log has the entry and before the registry has the signature.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::{Ends, PASSWORD};
use crate::support::sigstore::{Fault, Log};
use crate::world::{WHO, Wanted, Who, World, is_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_run_was_killed_is_found_again() {
    if !is_ready() {
        return;
    }
    for log in [Log::RekorV1, Log::RekorV2] {
        for (who, format) in [
            (Who::Key, "bundle"),
            (Who::Key, "simple-signing"),
            (Who::Keyless, "bundle"),
            (Who::Keyless, "simple-signing"),
        ] {
            if log == Log::RekorV2 && format == "simple-signing" {
                // An entry of Rekor v2 cannot be kept beside a simple signature.
                continue;
            }
            let timestamps = usize::from(log == Log::RekorV2);
            let wanted = Wanted { who, format, log: Some(log), timestamps };
            let world = World::new(wanted, 1).await;
            killed_once_recorded(&world, log);
            world.made();

            world.plan().ends(2);
            world.apply().ends(0);
            let [_, recorded, _] = world.made();
            assert_eq!(recorded, expected_again(wanted), "{wanted:?}");
            world.plan().ends(0);
            world.cosign_3_verifies(&world.images[0]).success();
        }
    }
}

/// How many entries the second run makes.
fn expected_again(wanted: Wanted) -> usize {
    match wanted.log {
        // Its index is asked for the digest.
        Some(Log::RekorV1) => 0,
        // It has no index.
        _ => 1,
    }
}

/// Starts a run, and kills it when the log has recorded and before it hears of it.
fn killed_once_recorded(world: &World, log: Log) {
    let front = world.sigstore.log(log);
    front.set(Fault::Lost);
    let mut run = world
        .workshop
        .command(&["apply", "--yes"])
        .env("SIGSTORE_ID_TOKEN", world.sigstore.token(WHO))
        .env("COSIGN_PASSWORD", PASSWORD)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while front.lost() == 0 {
        assert!(since.elapsed() < Duration::from_secs(30), "the log must have been asked");
        assert!(run.try_wait().unwrap().is_none(), "the run must wait for the log");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    front.heal();
}
