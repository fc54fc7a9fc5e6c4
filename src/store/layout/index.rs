//! `index.json` of a layout: found in, changed and written back without losing what others wrote. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use crate::model::{Descriptor, Digest, Locator, Tag, media_type};

/// The tag of an entry.
///
/// Source: OCI image-spec 1.1, annotations.md.
const NAME: &str = "org.opencontainers.image.ref.name";

/// What an entry is to cosign, which takes the first image and the first signatures of a layout and
/// looks at nothing else: `org.opencontainers.image.ref.name` beside it does not disturb.
///
/// Source: cosign `pkg/oci/layout/index.go`; measured with cosign 2.5.0 and 3.1.1.
const KIND: &str = "kind";
const KIND_IMAGE: &str = "dev.cosignproject.cosign/image";
const KIND_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
const KIND_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";

/// The document. Entries and members that this crate does not understand stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LayoutIndex {
    document: Map<String, Value>,
    entries: Vec<Value>,
}

/// What `index.json` says about a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    /// Empty where it is not said.
    pub(super) media_type: String,
}

impl LayoutIndex {
    /// An index without entries.
    pub(super) fn empty() -> Self {
        let mut document = Map::new();
        document.insert("schemaVersion".to_owned(), json!(2));
        document.insert("mediaType".to_owned(), json!(media_type::OCI_INDEX));
        document.insert("manifests".to_owned(), json!([]));
        Self { document, entries: Vec::new() }
    }

    /// Reads the document; in the error, what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| format!("index.json: {error}"))?;
        let entries = match document.get_mut("manifests") {
            Some(Value::Array(entries)) => std::mem::take(entries),
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err("index.json: `manifests` is no list".to_owned()),
        };
        let mut index = Self { document, entries };
        index.name_signatures();
        Ok(index)
    }

    /// The bytes, indented by three as go-containerregistry and cosign write them.
    #[expect(clippy::expect_used, reason = "maps have string keys and every value is plain data")]
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut document = self.document.clone();
        document.insert("manifests".to_owned(), Value::Array(self.entries.clone()));
        let mut bytes = Vec::new();
        let mut serializer =
            Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"   "));
        document.serialize(&mut serializer).expect("plain data is always JSON");
        bytes
    }

    /// What `locator` names; in the error, why that cannot be told.
    pub(super) fn find(&self, locator: &Locator) -> Result<Option<Entry>, String> {
        let mut found = self.entries.iter().filter(|entry| match locator {
            Locator::Digest(wanted) => digest(entry).as_ref() == Some(wanted),
            Locator::Tag(tag) => name(entry) == Some(tag.as_str()),
        });
        let Some(first) = found.next() else { return Ok(None) };
        let Some(named) = digest(first) else {
            return Err(format!(
                "index.json: the entry of `{locator}` has no digest that is known"
            ));
        };
        if found.any(|other| digest(other).as_ref() != Some(&named)) {
            return Err(format!("index.json: several entries are called `{locator}`"));
        }
        Ok(Some(Entry { digest: named, media_type: media_type(first).to_owned() }))
    }

    /// Every tag; names that cannot be tags are left out.
    pub(super) fn tags(&self) -> BTreeSet<Tag> {
        self.entries.iter().filter_map(|entry| name(entry)?.parse().ok()).collect()
    }

    /// Every entry whose digest is known.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().filter_map(|entry| {
            Some(Entry { digest: digest(entry)?, media_type: media_type(entry).to_owned() })
        })
    }

    /// The one image or index: what cosign marks as such, else what is called no signature tag.
    pub(super) fn only_image(&self) -> Option<Digest> {
        let image = |entry: &&Value| matches!(kind(entry), Some(KIND_IMAGE | KIND_INDEX));
        let bare = |entry: &&Value| {
            let tag: Option<Tag> = name(entry).and_then(|it| it.parse().ok());
            kind(entry).is_none() && tag.is_none_or(|it| !it.is_of_digest())
        };
        let images: BTreeSet<_> = self.entries.iter().filter(image).map(digest).collect();
        let others = || self.entries.iter().filter(bare).map(digest).collect();
        let mut found = if images.is_empty() { others() } else { images };
        if found.len() == 1 { found.pop_first().flatten() } else { None }
    }

    /// Adds a manifest without a tag. What it refers to is an image to cosign.
    pub(super) fn add(&mut self, manifest: &Descriptor, subject: Option<&Digest>) {
        self.entries.push(new_entry(manifest, None));
        self.mark_kinds();
        for entry in &mut self.entries {
            if kind(entry).is_none() && subject.is_some() && digest(entry).as_ref() == subject {
                mark_image(entry);
            }
        }
    }

    /// Lets `tag` name `manifest`, and nothing else be called so.
    pub(super) fn set(&mut self, tag: &Tag, manifest: &Descriptor) {
        let is_named = |entry: &Value| name(entry) == Some(tag.as_str());
        let mut old = self.entries.iter().filter(|entry| is_named(entry));
        let same = old.next().filter(|entry| digest(entry).as_ref() == Some(&manifest.digest));
        let entry = match same {
            Some(entry) => entry.clone(),
            None => new_entry(manifest, Some(tag)),
        };
        let place = self.entries.iter().position(is_named).unwrap_or(self.entries.len());
        self.entries.retain(|entry| !is_named(entry));
        self.entries.insert(place.min(self.entries.len()), entry);
        self.mark_kinds();
    }

    /// Takes every entry of a manifest away.
    pub(super) fn remove(&mut self, manifest: &Digest) {
        self.entries.retain(|entry| digest(entry).as_ref() != Some(manifest));
        self.mark_kinds();
    }

    /// Gives the signatures of a layout that `cosign save` wrote the tag that they had.
    ///
    /// It writes one image and its signatures, without tags: only their kinds tell them apart.
    fn name_signatures(&mut self) {
        let of_image = |entry: &&Value| matches!(kind(entry), Some(KIND_IMAGE | KIND_INDEX));
        let images: BTreeSet<_> = self.entries.iter().filter(of_image).map(digest).collect();
        let [Some(image)] = images.into_iter().collect::<Vec<_>>().try_into().unwrap_or([None])
        else {
            return;
        };
        let tag = Tag::of_signatures(&image);
        if self.entries.iter().any(|entry| name(entry) == Some(tag.as_str())) {
            return;
        }
        let of_signatures = |entry: &&mut Value| kind(entry) == Some(KIND_SIGNATURES);
        let mut signatures: Vec<_> = self.entries.iter_mut().filter(of_signatures).collect();
        if let [only] = signatures.as_mut_slice()
            && name(only).is_none()
        {
            annotate(only, NAME, tag.as_str());
        }
    }

    /// Marks images and their signatures as cosign does, where they are not marked yet.
    ///
    /// Signatures whose image is no entry of its own (a part of an index, or replaced) lose the mark:
    /// cosign would take them for those of the image that is there.
    fn mark_kinds(&mut self) {
        let tags: BTreeSet<&str> = self.entries.iter().filter_map(name).collect();
        let signed: BTreeSet<Digest> = self
            .entries()
            .map(|entry| entry.digest)
            .filter(|digest| tags.contains(Tag::of_signatures(digest).as_str()))
            .collect();
        let signatures: BTreeSet<Tag> = signed.iter().map(Tag::of_signatures).collect();
        for entry in &mut self.entries {
            let tag: Option<Tag> = name(entry).and_then(|name| name.parse().ok());
            let has_image = tag.as_ref().is_some_and(|tag| signatures.contains(tag));
            let is_of_digest = tag.is_some_and(|tag| tag.is_of_digest());
            if kind(entry) == Some(KIND_SIGNATURES) && is_of_digest && !has_image {
                remove_kind(entry);
            } else if kind(entry).is_some() {
                continue;
            } else if has_image {
                annotate(entry, KIND, KIND_SIGNATURES);
            } else if digest(entry).is_some_and(|digest| signed.contains(&digest)) {
                mark_image(entry);
            }
        }
    }
}

fn new_entry(manifest: &Descriptor, tag: Option<&Tag>) -> Value {
    let Descriptor { media_type, size, digest, .. } = manifest;
    let mut entry = json!({ "mediaType": media_type, "size": size, "digest": digest });
    if let Some(tag) = tag {
        annotate(&mut entry, NAME, tag.as_str());
    }
    entry
}

fn digest(entry: &Value) -> Option<Digest> {
    entry.get("digest")?.as_str()?.parse().ok()
}

fn media_type(entry: &Value) -> &str {
    entry.get("mediaType").and_then(Value::as_str).unwrap_or_default()
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(NAME)?.as_str()
}

fn kind(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(KIND)?.as_str()
}

fn mark_image(entry: &mut Value) {
    let is_index = media_type::is_index(media_type(entry));
    annotate(entry, KIND, if is_index { KIND_INDEX } else { KIND_IMAGE });
}

fn remove_kind(entry: &mut Value) {
    if let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(KIND);
    }
}

/// Sets an annotation of an entry; what is no object is left alone.
fn annotate(entry: &mut Value, key: &str, value: &str) {
    let Some(entry) = entry.as_object_mut() else { return };
    let annotations = entry.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `cosign save` (2.5.0 and 3.1.1) writes.
    const SAVED: &str = r#"{
   "schemaVersion": 2,
   "mediaType": "application/vnd.oci.image.index.v1+json",
   "manifests": [
      {
         "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
         "size": 423,
         "digest": "sha256:779d435714e7d308c68f971fe25c13739d36e4243cc71834186c35ce6140c6e4",
         "annotations": {
            "kind": "dev.cosignproject.cosign/image"
         }
      },
      {
         "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "size": 558,
         "digest": "sha256:648bb34339c86320c8bce5896edb3622e9f33e3eacb9850f0b8b86c3fb5d5b22",
         "annotations": {
            "kind": "dev.cosignproject.cosign/sigs"
         }
      }
   ]
}"#;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn the_document_is_written_as_cosign_writes_it() {
        let image = Digest::of(b"image");
        let mut index = LayoutIndex::empty();
        index.set(&tag("1"), &Descriptor::of(media_type::OCI_MANIFEST, b"image"));
        index.set(
            &Tag::of_signatures(&image),
            &Descriptor::of(media_type::OCI_MANIFEST, b"signatures"),
        );
        let written = String::from_utf8(index.to_bytes()).unwrap();
        let expected = format!(
            r#"{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.oci.image.index.v1+json",
   "manifests": [
      {{
         "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "size": 5,
         "digest": "{image}",
         "annotations": {{
            "org.opencontainers.image.ref.name": "1",
            "kind": "dev.cosignproject.cosign/image"
         }}
      }},
      {{
         "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "size": 10,
         "digest": "{}",
         "annotations": {{
            "org.opencontainers.image.ref.name": "{}",
            "kind": "dev.cosignproject.cosign/sigs"
         }}
      }}
   ]
}}"#,
            Digest::of(b"signatures"),
            Tag::of_signatures(&image)
        );
        assert_eq!(written, expected);
        assert_eq!(LayoutIndex::parse(expected.as_bytes()).unwrap(), index);
    }

    #[test]
    fn signatures_that_cosign_saved_have_their_tag() {
        let index = LayoutIndex::parse(SAVED.as_bytes()).unwrap();
        let image: Digest =
            "sha256:779d435714e7d308c68f971fe25c13739d36e4243cc71834186c35ce6140c6e4"
                .parse()
                .unwrap();
        let found = index.find(&Tag::of_signatures(&image).into()).unwrap().unwrap();
        assert!(found.digest.hex().starts_with("648bb343"));
        assert_eq!(index.tags(), BTreeSet::from([Tag::of_signatures(&image)]));

        // With two images nobody knows whose they are.
        let mut two: Value = serde_json::from_str(SAVED).unwrap();
        let mut other = two["manifests"][0].clone();
        other["digest"] = json!(Digest::of(b"other"));
        two["manifests"].as_array_mut().unwrap().push(other);
        let index = LayoutIndex::parse(two.to_string().as_bytes()).unwrap();
        assert!(index.tags().is_empty());
    }

    #[test]
    fn what_others_wrote_survives_an_edit() {
        let text = json!({
            "schemaVersion": 2,
            "strange": { "b": 1, "a": [2] },
            "manifests": [
                { "digest": "blake3:00", "size": 1, "mediaType": "x" },
                7,
                { "digest": Digest::of(b"1"), "size": 1, "mediaType": media_type::OCI_INDEX,
                  "annotations": { NAME: "docker.io/library/a:1", "odd": "kept" }, "data": "MQ==" },
            ],
            "annotations": { "x": "y" },
        });
        let mut index = LayoutIndex::parse(text.to_string().as_bytes()).unwrap();
        assert!(index.tags().is_empty());
        let before = index.clone();
        index.set(&tag("2"), &Descriptor::of("m", b"2"));
        index.add(&Descriptor::of("m", b"3"), None);
        index.set(&tag("2"), &Descriptor::of("m", b"4"));
        assert_eq!(index.entries.len(), 5);
        index.remove(&Digest::of(b"3"));
        index.remove(&Digest::of(b"4"));
        assert_eq!(index, before);
        let written: Value = serde_json::from_slice(&index.to_bytes()).unwrap();
        assert_eq!(written, text);
    }

    #[test]
    fn signatures_of_a_part_of_an_index_are_not_marked() {
        let mut index = LayoutIndex::empty();
        index.set(&tag("all"), &Descriptor::of(media_type::OCI_INDEX, b"index"));
        let part = Tag::of_signatures(&Digest::of(b"part"));
        index.set(&part, &Descriptor::of(media_type::OCI_MANIFEST, b"of the part"));
        assert!(index.entries.iter().all(|entry| kind(entry).is_none()));
        let whole = Tag::of_signatures(&Digest::of(b"index"));
        index.set(&whole, &Descriptor::of(media_type::OCI_MANIFEST, b"of the index"));
        let kinds: Vec<_> = index.entries.iter().map(kind).collect();
        assert_eq!(kinds, [Some(KIND_INDEX), None, Some(KIND_SIGNATURES)]);

        // Another image under the tag: the signatures of the first are no longer cosign's first.
        index.set(&tag("all"), &Descriptor::of(media_type::OCI_INDEX, b"another"));
        assert!(index.entries.iter().all(|entry| kind(entry).is_none()));
    }

    #[test]
    fn a_name_used_twice_names_nothing() {
        let entry = |content: &[u8]| new_entry(&Descriptor::of("m", content), Some(&tag("1")));
        let mut index = LayoutIndex::empty();
        index.entries = vec![entry(b"1"), entry(b"1")];
        assert!(index.find(&tag("1").into()).unwrap().is_some());
        index.entries.push(entry(b"2"));
        assert!(index.find(&tag("1").into()).unwrap_err().contains("several entries"));
        index.set(&tag("1"), &Descriptor::of("m", b"2"));
        assert_eq!(index.entries.len(), 1);
    }
}
