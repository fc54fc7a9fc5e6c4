//! OCI image layouts on disk.

use super::ready;
use crate::program::Workshop;
use crate::support::cosign::{Cosign, Trust};
use crate::support::images::{Image, write_layout};

const SPEC: &str = r#"version = 1

[signers.release]
key = "release.key"
transparency_log = false

[[images]]
reference = "oci:./layout:app"
container_identity = "registry.acme.com/app"
sign_with = ["release"]
recursive = true
"#;

#[test]
fn both_verify_the_image_of_a_layout() {
    if !ready() {
        return;
    }
    for image in [Image::oci("app"), Image::multi_platform("app")] {
        let workshop = Workshop::new(SPEC);
        let trust = Trust::Key(workshop.key("p256", "release"));
        let layout = workshop.path().join("layout");
        write_layout(&layout, [("app", &image)]);
        for cosign in Cosign::both() {
            cosign.verify_layout(&layout, &trust).unwrap_err();
        }
        workshop.apply();
        for cosign in Cosign::both() {
            let payloads = cosign.verify_layout(&layout, &trust).unwrap();
            let identity = &payloads[0]["critical"]["identity"]["docker-reference"];
            assert_eq!(identity, "registry.acme.com/app");
        }
        let written = workshop.read("layout/index.json");
        workshop.run(&["verify"]).failure();
        workshop.run_with_password(&["verify"]).success();
        workshop.apply();
        assert_eq!(workshop.read("layout/index.json"), written);
    }
}
