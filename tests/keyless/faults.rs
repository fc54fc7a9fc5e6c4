//! What the user sees when a service is down, busy, slow or wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::support::docker_registry::DockerRegistry;
use crate::support::sigstore::{Fault, Front, Lie, Log, Sigstore};
use crate::support::tools::Finished;
use crate::world::{Wanted, World, is_ready};

/// Which service has the fault.
#[derive(Clone, Copy, Debug)]
enum At {
    Fulcio,
    RekorV1,
    RekorV2,
    Timestamps,
}

/// What the run must end with.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Signed,
    /// This exit code, and this code among what is said.
    Failed(i32, &'static str),
}

struct Case {
    at: At,
    fault: Fault,
    outcome: Outcome,
}

const TEMPORARY: i32 = 75;
const DENIED: i32 = 77;
const FAILED: i32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_service_is_told_and_signs_nothing() {
    if !is_ready() {
        return;
    }
    let registry = Arc::new(DockerRegistry::start());
    let mut worlds = Vec::new();
    for case in cases() {
        let wanted = match case.at {
            At::RekorV1 => Wanted::SIMPLE,
            _ => Wanted::BUNDLE,
        };
        worlds.push((case, World::on(Arc::clone(&registry), wanted, 1).await));
    }
    let judged: Vec<(String, Result<(), String>)> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            worlds.iter().map(|(case, world)| scope.spawn(|| judge(case, world))).collect();
        runs.into_iter().map(|it| it.join().unwrap()).collect()
    });
    println!("| service | fault | exit | what is said |\n| --- | --- | --- | --- |");
    for (line, _) in &judged {
        println!("{line}");
    }
    let wrong: Vec<String> = judged.into_iter().filter_map(|(_, result)| result.err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs with the fault and without it; gives a line of the table, and what is wrong.
fn judge(case: &Case, world: &World) -> (String, Result<(), String>) {
    let front = case.at.front(&world.sigstore);
    front.set(case.fault.clone());
    let run = world.apply();
    front.heal();
    let said = said(&run);
    let line = format!("| {:?} | {:?} | {} | {said} |", case.at, case.fault, run.code.unwrap());
    let result = match case.outcome {
        Outcome::Signed => expect(&run, 0, ""),
        Outcome::Failed(..) if said.contains('{') => Err("a message for programmers".to_owned()),
        // Nothing was written, and the next run does what is left.
        Outcome::Failed(exit, code) => expect(&run, exit, code)
            .and_then(|()| expect(&world.plan(), 2, "1 to sign"))
            .and_then(|()| expect(&world.apply(), 0, "1 written")),
    };
    let result = result
        .and_then(|()| expect(&world.plan(), 0, "1 kept"))
        .and_then(|()| expect(&world.cosign_3_verifies(&world.images[0]), 0, ""));
    (line.clone(), result.map_err(|error| format!("{line}\n{error}")))
}

fn expect(run: &Finished, exit: i32, text: &str) -> Result<(), String> {
    let is_expected = run.code == Some(exit) && format!("{run:?}").contains(text);
    if is_expected {
        Ok(())
    } else {
        Err(format!("must end with {exit} and say {text:?}: {run:?}"))
    }
}

/// What the report says of the only image: the lines below the change that failed.
fn said(run: &Finished) -> String {
    let lines = run.stdout.lines().skip_while(|it| !it.trim_start().starts_with("x "));
    let lines: Vec<&str> = lines.take_while(|it| !it.is_empty()).map(str::trim).collect();
    lines.join(" ")
}

impl At {
    fn front(self, sigstore: &Sigstore) -> &Front {
        match self {
            Self::Fulcio => &sigstore.fulcio,
            Self::RekorV1 => sigstore.log(Log::RekorV1),
            Self::RekorV2 => sigstore.log(Log::RekorV2),
            Self::Timestamps => &sigstore.timestamps,
        }
    }

    /// The first word of its codes.
    fn unavailable(self) -> &'static str {
        match self {
            Self::Fulcio => "fulcio::unavailable",
            Self::RekorV1 | Self::RekorV2 => "rekor::unavailable",
            Self::Timestamps => "tsa::unavailable",
        }
    }

    fn permission(self) -> &'static str {
        match self {
            Self::Fulcio => "fulcio::permission",
            Self::RekorV1 | Self::RekorV2 => "rekor::permission",
            Self::Timestamps => "tsa::permission",
        }
    }

    fn refused(self) -> &'static str {
        match self {
            Self::Fulcio => "fulcio::refused",
            Self::RekorV1 | Self::RekorV2 => "rekor::refused",
            Self::Timestamps => "tsa::refused",
        }
    }

    fn untrusted(self) -> &'static str {
        match self {
            Self::Fulcio => "fulcio::untrusted",
            Self::RekorV1 | Self::RekorV2 => "rekor::untrusted",
            Self::Timestamps => "tsa::untrusted",
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for at in [At::Fulcio, At::RekorV1, At::RekorV2, At::Timestamps] {
        let status = |code, retry_after, times| Fault::Status { code, retry_after, times };
        let mut add = |fault, outcome| cases.push(Case { at, fault, outcome });
        add(Fault::Down, Outcome::Failed(TEMPORARY, at.unavailable()));
        add(status(503, None, 2), Outcome::Signed);
        add(status(429, Some(1), 1), Outcome::Signed);
        add(Fault::Slow(Duration::from_millis(300)), Outcome::Signed);
        add(status(403, None, 1_000), Outcome::Failed(DENIED, at.permission()));
        add(status(400, None, 1_000), Outcome::Failed(FAILED, at.refused()));
    }
    for (at, lie) in [
        (At::Fulcio, Lie::CertificateKey),
        (At::Fulcio, Lie::CertificateTimestamp),
        (At::RekorV1, Lie::Checkpoint),
        (At::RekorV1, Lie::Entry),
        (At::RekorV1, Lie::InclusionProof),
        (At::RekorV1, Lie::IntegratedTime),
        (At::RekorV2, Lie::Checkpoint),
        (At::RekorV2, Lie::Entry),
        (At::RekorV2, Lie::InclusionProof),
        (At::Timestamps, Lie::Imprint),
        (At::Timestamps, Lie::Nonce),
    ] {
        let outcome = Outcome::Failed(FAILED, at.untrusted());
        cases.push(Case { at, fault: Fault::Lies(lie), outcome });
    }
    let (at, fault) = (At::Fulcio, Fault::Lies(Lie::CertificateIdentity));
    cases.push(Case { at, fault, outcome: Outcome::Failed(DENIED, "oidc::permission") });
    cases
}
