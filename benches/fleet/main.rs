//! Plans over a large fleet: requests a second beside a plain load generator, distance, and memory.
//!
//! `cargo bench --bench fleet [-- --images 10000 --memory 100000]`. A registry in a process of its own answers every
//! signature tag with a signature that verifies; `countersign plan` looks at all images, and a bare HTTP client sends
//! the very same requests, with as many connections, in the same run. What counts are the ratios.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod registry;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use countersign::model::Digest;
use futures::StreamExt as _;

/// How many requests are under way at once, on both sides: the product's default for a host.
const CONNECTIONS: usize = 16;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|it| it == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    if let Some(at) = arguments.iter().position(|it| it == "--serve") {
        let delay = Duration::from_millis(arguments[at + 1].parse().unwrap());
        return registry::serve(Path::new(&arguments[at + 2]), delay);
    }
    // `cargo test --benches` starts this too, without the flag.
    if !arguments.iter().any(|it| it == "--bench") {
        println!("run it with: cargo bench --bench fleet");
        return;
    }
    let (images, memory) = (number("--images", 10_000), number("--memory", 100_000));
    throughput(images, 0);
    throughput(images, 20);
    for images in [memory / 4, memory / 2, memory] {
        let (_, peak) = plan(images, 0);
        println!("memory, {images} images: {} MiB at the most", peak / 1024);
    }
}

/// One plan beside one plain client: the same requests, the same number at once.
fn throughput(images: usize, milliseconds: u64) {
    let (planned, _) = plan(images, milliseconds);
    let plain = plain_client(images, milliseconds);
    let each = |time: Duration| images as f64 / time.as_secs_f64();
    println!(
        "{images} images at {milliseconds} ms: plan {:.0} requests/s, plain client {:.0} requests/s: {:.0} %",
        each(planned),
        each(plain),
        100.0 * plain.as_secs_f64() / planned.as_secs_f64()
    );
    if milliseconds > 0 {
        let ideal = images as f64 * milliseconds as f64 / 1000.0 / CONNECTIONS as f64;
        println!("  {:.2} times (requests × latency ÷ concurrency)", planned.as_secs_f64() / ideal);
    }
}

/// How long a plan takes, and its peak memory in KiB.
fn plan(images: usize, milliseconds: u64) -> (Duration, u64) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), milliseconds);
    let mut lines = String::new();
    for number in 0..images {
        writeln!(lines, "{}/{}@{}", server.address, repository(number), digest(number)).unwrap();
    }
    fs::write(folder.path().join("images.txt"), lines).unwrap();
    let spec = "version = 1\n[signers.release]\npublic_key = \"release.pub\"\n[defaults]\nsign_with = [\"release\"]\n[[images_from]]\nfile = \"images.txt\"\nformat = \"lines\"\n";
    fs::write(folder.path().join("countersign.toml"), spec).unwrap();
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["plan", "--detailed-exitcode", "--no-progress"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        let read = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = read.lines().find_map(|it| it.strip_prefix("VmHWM:"));
        let now = line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let elapsed = begin.elapsed();
    assert!(status.success(), "everything is in place, and the plan says {status}");
    (elapsed, peak)
}

fn plain_client(images: usize, milliseconds: u64) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), milliseconds);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let origin = format!("http://{}", server.address);
    // The plain client never speaks TLS, but asks for a provider all the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let begin = Instant::now();
        futures::stream::iter(0..images)
            .map(|number| {
                let tag = format!("sha256-{}.sig", digest(number).hex());
                let url = format!("{origin}/v2/{}/manifests/{tag}", repository(number));
                let client = client.clone();
                tokio::spawn(async move {
                    let answer = client.get(url).send().await.unwrap();
                    answer.bytes().await.unwrap().len()
                })
            })
            .buffer_unordered(CONNECTIONS)
            .for_each(|read| async move { assert!(read.unwrap() > 0) })
            .await;
        begin.elapsed()
    })
}

fn repository(number: usize) -> String {
    format!("team/image-{}", number % 100)
}

fn digest(number: usize) -> Digest {
    Digest::of(&number.to_le_bytes())
}

/// The registry, in a process of its own: its memory and work are not the product's.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, milliseconds: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--serve", &milliseconds.to_string()])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
