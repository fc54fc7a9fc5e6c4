//! Many images, both formats, both generations of the log, with and without a key.

use crate::program::Ends;
use crate::support::sigstore::Log;
use crate::world::{Wanted, Who, World, is_ready};

const IMAGES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_images_cost_one_certificate_and_then_nothing() {
    if !is_ready() {
        return;
    }
    let world = World::new(Wanted::BUNDLE, IMAGES).await;
    let plan = world.plan().ends(2);
    let publishes =
        "Publishes: 50 log entries and at least 1 certificate, for good; asks for 50 timestamps";
    assert!(plan.stdout.contains(publishes), "{plan:?}");
    assert!(world.requests().is_empty(), "a plan asks no service");

    let applied = world.apply().ends(0);
    assert!(applied.stdout.contains("50 written"), "{applied:?}");
    assert_eq!(world.made(), [1, IMAGES, IMAGES], "certificates, log entries, timestamps");

    let plan = world.plan().ends(0);
    assert!(plan.stdout.contains("Publishes: nothing"), "{plan:?}");
    assert!(plan.stdout.contains("50 kept"), "{plan:?}");
    world.workshop.run(&["verify"]).ends(0);
    let again = world.apply_as("no token is needed").ends(0);
    assert!(again.stdout.contains("Nothing to do"), "{again:?}");
    assert_eq!(world.requests(), Vec::<String>::new(), "nor does a verification");

    std::thread::scope(|scope| {
        for part in world.images.chunks(IMAGES / 2) {
            let world = &world;
            scope.spawn(move || {
                for image in part {
                    world.cosign_3_verifies(image).success();
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_evidence_is_believed_by_us_and_by_cosign() {
    if !is_ready() {
        return;
    }
    let mut seen = 0;
    for who in [Who::Keyless, Who::Key] {
        for (format, log, timestamps) in [
            ("bundle", Some(Log::RekorV1), 0),
            ("bundle", Some(Log::RekorV1), 2),
            ("bundle", Some(Log::RekorV2), 1),
            ("simple-signing", Some(Log::RekorV1), 0),
            ("simple-signing", Some(Log::RekorV1), 1),
        ] {
            let wanted = Wanted { who, format, log, timestamps };
            let world = World::new(wanted, 1).await;
            world.plan().ends(2);
            world.apply().ends(0);
            let stamped = usize::from(timestamps > 0);
            assert_eq!(world.made(), [usize::from(who == Who::Keyless), 1, stamped], "{wanted:?}");
            assert_eq!(world.sigstore.other_timestamps.made(), usize::from(timestamps > 1));
            world.plan().ends(0);
            world.cosign_3_verifies(&world.images[0]).success();
            if format == "simple-signing" {
                world.cosign_2_verifies(&world.images[0]).success();
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_spec_asks_for_later_is_made_and_what_it_asks_no_more_stays() {
    if !is_ready() {
        return;
    }
    let without = Wanted { who: Who::Key, format: "bundle", log: None, timestamps: 0 };
    let mut world = World::new(without, 1).await;
    world.apply().ends(0);
    assert_eq!(world.made(), [0, 0, 0]);
    world.declare(Wanted { log: Some(Log::RekorV2), timestamps: 1, ..without });
    let plan = world.plan().ends(2);
    assert!(plan.stdout.contains("1 to resign"), "{plan:?}");
    world.apply().ends(0);
    assert_eq!(world.made(), [0, 1, 1]);
    world.cosign_3_verifies(&world.images[0]).success();
    world.declare(without);
    world.plan().ends(0);
}
