//! The images of the demo: real ones, small ones, made here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use countersign::model::{Annotations, Descriptor, Digest, Index, Manifest, Platform, media_type};
use serde_json::{Map, json};

/// The type of a layer that is not compressed.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// What a layout calls its tags.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Blobs by digest, and the manifests that tags name.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    tags: Vec<Descriptor>,
}

impl Layout {
    /// Adds an image that says who it is.
    pub(crate) fn image(&mut self, tag: &str) -> io::Result<()> {
        let image = self.manifest(tag, "amd64")?;
        self.tag(tag, image);
        Ok(())
    }

    /// Adds an index with an image for each of two platforms.
    pub(crate) fn multi_platform(&mut self, tag: &str) -> io::Result<()> {
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut image = self.manifest(tag, architecture)?;
            image.platform = Some(Platform {
                architecture: architecture.to_owned(),
                os: "linux".to_owned(),
                variant: None,
                extra: Map::new(),
            });
            manifests.push(image);
        }
        let index = index(manifests)?;
        let index = self.blob(media_type::OCI_INDEX, index);
        self.tag(tag, index);
        Ok(())
    }

    /// Writes a folder that any tool for OCI layouts can read.
    ///
    /// Source: OCI image-spec 1.1, image-layout.md.
    pub(crate) fn write(self, folder: &Path) -> io::Result<()> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for (digest, blob) in &self.blobs {
            fs::write(blobs.join(digest.hex()), blob)?;
        }
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        fs::write(folder.join("index.json"), index(self.tags)?)
    }

    fn manifest(&mut self, name: &str, architecture: &str) -> io::Result<Descriptor> {
        let text = format!("This is {name} of the demo of countersign, for {architecture}.\n");
        let layer = tar("README", text.as_bytes());
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
        });
        let config = self.blob(media_type::OCI_CONFIG, serde_json::to_vec(&config)?);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config,
            layers: vec![self.blob(LAYER, layer)],
            annotations: None,
            subject: None,
            artifact_type: None,
            extra: Map::new(),
        };
        Ok(self.blob(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest)?))
    }

    fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &content);
        self.blobs.insert(descriptor.digest.clone(), content);
        descriptor
    }

    fn tag(&mut self, tag: &str, image: Descriptor) {
        let annotations: Annotations = [(REF_NAME.to_owned(), tag.to_owned())].into();
        self.tags.push(Descriptor { annotations: Some(annotations), ..image });
    }
}

fn index(manifests: Vec<Descriptor>) -> io::Result<Vec<u8>> {
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests,
        annotations: None,
        subject: None,
        artifact_type: None,
        extra: Map::new(),
    };
    Ok(serde_json::to_vec(&index)?)
}

/// A tar archive with one file.
///
/// Source: POSIX.1-2017, pax, "ustar Interchange Format".
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(512);
    let mut field = |text: &str, length: usize| {
        let start = header.len();
        header.extend(text.bytes().take(length));
        header.resize(start + length, 0);
    };
    field(name, 100);
    for number in ["0000644", "0000000", "0000000"] {
        field(number, 8);
    }
    field(&format!("{:011o}", content.len()), 12);
    field("00000000000", 12);
    // The sum is taken with blanks in its own place.
    field("        ", 8);
    field("0", 1);
    field("", 100);
    field("ustar", 6);
    field("00", 2);
    field("", 247);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header.splice(148..156, format!("{sum:06o}\0 ").into_bytes());
    let mut archive = header;
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_one_that_tar_reads() {
        let archive = tar("README", b"hello\n");
        assert_eq!(archive.len(), 512 + 512 + 1024);
        assert_eq!(&archive[257..265], b"ustar\x0000");
        let mut zeroed = archive[..512].to_vec();
        zeroed[148..156].fill(b' ');
        let sum: u32 = zeroed.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(archive[148..156], *format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(&archive[512..518], b"hello\n");
    }

    #[test]
    fn a_layout_names_only_what_it_has() {
        let mut layout = Layout::default();
        layout.image("api").unwrap();
        layout.multi_platform("web").unwrap();
        assert_eq!(layout.tags.len(), 2);
        // Three manifests, each with a configuration and a layer, and the index.
        assert_eq!(layout.blobs.len(), 3 * 3 + 1);
        for (digest, blob) in &layout.blobs {
            assert!(digest.matches(blob));
        }
    }
}
