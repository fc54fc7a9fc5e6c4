//! A slow registry, and runs that are told to stop, or killed: what is under way is finished, and the next run
//! converges without a duplicate. And what a run refuses to do there.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use program::{Ends, PASSWORD, Workshop};
use serde_json::Value;
use support::cosign::{Cosign, SignOptions};
use support::delay::Delay;
use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher};
use support::tools::{self, Tool};

const IMAGES: usize = 24;

struct Scene {
    registry: DockerRegistry,
    publisher: Publisher,
    workshop: Workshop,
    images: Vec<Image>,
    _delay: Option<Delay>,
}

impl Scene {
    /// Images behind this distance, and a spec that signs them.
    async fn new(round_trip: Duration) -> Self {
        let registry = DockerRegistry::start();
        let publisher = Publisher::new(&registry);
        let images = publisher.push_many("app", IMAGES).await;
        let delay = (!round_trip.is_zero()).then(|| Delay::start(registry.address(), round_trip));
        let address = delay.as_ref().map_or(registry.address(), Delay::address);
        let workshop = Workshop::new(&format!(
            r#"version = 1

[signers.release]
key = "release.key"
public_key = "release.pub"
transparency_log = false

[[images]]
repository = "{address}/app"
tags = ["*"]
container_identity = "registry.acme.com/app"
sign_with = ["release"]
prune = "keep"
"#
        ));
        workshop.key("p256", "release");
        Self { registry, publisher, workshop, images, _delay: delay }
    }

    /// Starts an apply of four at a time, and waits until the first image is done.
    fn begin(&self) -> (Child, BufReader<ChildStdout>) {
        let arguments =
            ["apply", "--yes", "--jobs", "4", "--events", "-", "--report", "report.json"];
        let mut command = self.workshop.command(&arguments);
        command.env("COSIGN_PASSWORD", PASSWORD);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut events = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("target_finished") {
            line.clear();
            assert_ne!(events.read_line(&mut line).unwrap(), 0, "the apply ended early");
        }
        (child, events)
    }

    /// How many signatures each image has.
    async fn signatures(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for image in &self.images {
            let tag = format!("{}.sig", image.digest().replace(':', "-"));
            let manifest = self.publisher.manifest("app", &tag).await;
            let manifest: Option<Value> = manifest.map(|it| serde_json::from_slice(&it).unwrap());
            counts.push(manifest.map_or(0, |it| it["layers"].as_array().unwrap().len()));
        }
        counts
    }

    /// Another apply makes it so: one signature each.
    async fn converges(&self) {
        self.workshop.apply();
        assert_eq!(self.signatures().await, [1; IMAGES]);
        self.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }

    /// Lets cosign sign every image with a key of its own, as somebody else does.
    fn signed_by_somebody(&self) {
        let key = Cosign::v2().generate_key_pair(self.workshop.path(), "somebody", "theirs");
        let references = self
            .images
            .iter()
            .map(|image| self.registry.reference(&format!("app@{}", image.digest())));
        let references: Vec<String> = references.collect();
        Cosign::v3().sign(&references, &key, &SignOptions::default()).success();
    }
}

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_under_way_and_writes_the_report() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let scene = Scene::new(Duration::from_millis(100)).await;
    let (mut child, events) = scene.begin();
    send("-TERM", &child);
    let rest: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(rest.last().unwrap()["event"], "finished");
    let report = scene.workshop.json("report.json");
    let written = report["totals"]["written"].as_u64().unwrap();
    let failed = report["totals"]["failed"].as_u64().unwrap();
    let images = u64::try_from(IMAGES).unwrap();
    assert!(written > 0 && failed > 0 && written + failed == images, "{report}");
    let codes = scene.workshop.read("report.json").matches("run::interrupted").count();
    assert!(codes > 0, "what was not begun says so");
    // What the report says is what is there.
    let there = scene.signatures().await;
    assert_eq!(there.iter().sum::<usize>(), usize::try_from(written).unwrap());
    scene.converges().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_leaves_nothing_that_the_next_one_does_not_mend() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let scene = Scene::new(Duration::from_millis(40)).await;
    let (mut child, _events) = scene.begin();
    child.kill().unwrap();
    child.wait().unwrap();
    let there = scene.signatures().await;
    assert!(there.contains(&0) && there.contains(&1), "it was killed in the middle: {there:?}");
    scene.converges().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_the_same_time_leave_every_image_signed() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let scene = Scene::new(Duration::from_millis(20)).await;
    let start = || {
        let mut command = scene.workshop.command(&["apply", "--yes"]);
        command.env("COSIGN_PASSWORD", PASSWORD).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in [start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    // Each may have written its own where both looked at the same moment; that is a duplicate, and no loss.
    assert!(scene.signatures().await.iter().all(|count| (1..=2).contains(count)));
    scene.workshop.edit("prune = \"keep\"", "prune = \"superseded\"");
    scene.converges().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_counts_what_would_be_lost() {
    if !tools::have(&[Tool::DockerRegistry, Tool::Cosign2, Tool::Cosign3]) {
        return;
    }
    let scene = Scene::new(Duration::ZERO).await;
    scene.workshop.apply();
    scene.signed_by_somebody();
    scene.workshop.edit("prune = \"keep\"", "prune = \"undeclared\"");
    assert_eq!(scene.workshop.plan(0).count("clean"), 24);
    scene.registry.take_requests();
    let refused = scene.workshop.run(&["apply", "--yes"]).ends(4);
    assert!(refused.stderr.contains("--allow-clean 24"), "{refused:?}");
    scene.workshop.run(&["apply", "--yes", "--allow-clean", "23"]).ends(4);
    assert!(scene.registry.take_requests().writes().is_empty());
    scene.workshop.run(&["apply", "--yes", "--allow-clean", "24"]).ends(0);
    assert_eq!(scene.signatures().await, [1; IMAGES]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_plan_does_not_remove_what_came_after_it() {
    if !tools::have(&[Tool::DockerRegistry, Tool::Cosign2, Tool::Cosign3]) {
        return;
    }
    let scene = Scene::new(Duration::ZERO).await;
    scene.workshop.edit("prune = \"keep\"", "prune = \"undeclared\"");
    scene.workshop.run(&["plan", "--out", "plan.json"]).ends(0);
    let plan = scene.workshop.plan(0);
    let key = Cosign::v2().generate_key_pair(scene.workshop.path(), "somebody", "theirs");
    let signed = scene.registry.reference(&format!("app@{}", scene.images[3].digest()));
    Cosign::v3().sign(&[signed], &key, &SignOptions::default()).success();
    // The whole plan is another one.
    let fingerprint = plan.0["fingerprint"].as_str().unwrap();
    scene.registry.take_requests();
    let arguments = ["apply", "--yes", "--expect", fingerprint];
    let refused = scene.workshop.run_with_password(&arguments).ends(5);
    assert!(refused.stderr.contains("plan::stale"), "{refused:?}");
    assert!(scene.registry.take_requests().writes().is_empty());
    // The saved one narrows: only that image is refused, and the others go on.
    let refused = scene.workshop.run_with_password(&["apply", "plan.json"]).ends(5);
    assert!(refused.stdout.contains("plan::stale"), "{refused:?}");
    assert_eq!(scene.signatures().await, [1; IMAGES], "theirs on the fourth, ours elsewhere");
    assert_eq!(scene.workshop.plan(0).count("keep"), 23);
}
