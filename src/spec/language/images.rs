//! The part of the language that says which images must carry what. Pure.

use crate::spec::table::{Field, Kind, Table, field};

/// What `prune` takes, the most careful first.
const PRUNE: &[&str] = &["keep", "superseded", "retired", "undeclared"];
/// What `formats` takes.
const FORMATS: &[&str] = &["simple-signing", "bundle"];
/// What `format` of `[[images_from]]` takes.
const LISTS: &[&str] = &["lines", "buildx", "ko", "apko"];

const SIGN_WITH: Field = field(
    "sign_with",
    Kind::Texts,
    r#"["release"]"#,
    "Who must have signed. An empty list is an error.",
);
const REQUIRES: Field = field(
    "requires",
    Kind::Texts,
    r#"["vault-room"]"#,
    "Sign a digest only if these signers have signed it already: a countersignature.",
)
.default("[]");
const FORMAT: Field = field("formats", Kind::Choices(FORMATS), r#"["simple-signing"]"#, "How signatures are written: `simple-signing` (the `sha256-….sig` tag), `bundle` (an OCI referrer), or both.").default("[\"simple-signing\"]");
const ANNOTATIONS: Field = field("annotations", Kind::TextMap, r#"{ build = "8812" }"#, "What the signatures say besides. Those of an image are added to the defaults; the same name overrides.").default("{}");
const RECURSIVE: Field =
    field("recursive", Kind::Flag, "true", "Sign an index and every image in it.").default("false");
const PRUNED: Field = field("prune", Kind::Choice(PRUNE), r#""keep""#, "Which signatures may be removed: none, those that were replaced, those of retired signers too, or every one that is not declared.").default("\"keep\"");
const PLATFORMS: Field = field(
    "platforms",
    Kind::Texts,
    r#"["linux/amd64"]"#,
    "Only these platforms of an index: `os/architecture[/variant]`. The default is all.",
);
const SIGNATURE_REPOSITORY: Field = field(
    "signature_repository",
    Kind::Text,
    r#""ghcr.io/acme/signatures""#,
    "Where the signatures are kept, instead of beside the image.",
);
const OPTIONAL: Field =
    field("optional", Kind::Flag, "true", "An image that does not exist yet is no failure.")
        .default("false");
const ALLOW_EMPTY: Field = field(
    "allow_empty",
    Kind::Flag,
    "true",
    "A pattern or list that yields nothing is no failure.",
)
.default("false");
const CONTAINER_IDENTITY: Field = field(
    "container_identity",
    Kind::TextOrTexts,
    r#""registry.example.com/app""#,
    "What the payload names as the image, one signature for each. The default is the repository; a layout needs it.",
);
const ATTACHMENTS: Field = field(
    "attachments",
    Kind::Sections(&ATTACHMENT),
    "[[images.attachments]]",
    "Signatures that were made elsewhere.",
);

pub(super) static DEFAULTS: Table = Table {
    name: "defaults",
    noun: "`[defaults]`",
    doc: "What holds for every image unless it says otherwise.",
    fields: &[
        SIGN_WITH,
        REQUIRES,
        FORMAT,
        ANNOTATIONS,
        RECURSIVE,
        PRUNED,
        PLATFORMS,
        SIGNATURE_REPOSITORY,
        OPTIONAL,
        ALLOW_EMPTY,
        field(
            "digests_only",
            Kind::Flag,
            "true",
            "An image without a declared digest is an error.",
        )
        .default("false"),
    ],
};

pub(super) static IMAGE: Table = Table {
    name: "image",
    noun: "an image",
    doc: "An image, or several of one repository.",
    fields: &[
        field(
            "repository",
            Kind::Text,
            r#""ghcr.io/acme/api""#,
            "The repository: `HOST/PATH`, or `oci:FOLDER` for an image layout on disk. With `tags` or `digests`.",
        ),
        field(
            "reference",
            Kind::Text,
            r#""ghcr.io/acme/web:3.0.1""#,
            "One image: `REPOSITORY[:TAG][@DIGEST]`. With both, the tag is checked against the digest.",
        ),
        field(
            "tags",
            Kind::Texts,
            r#"["1.4.2", "v2.*"]"#,
            "Which tags: names and patterns (`*`, `?`, `[…]`).",
        ),
        field("exclude_tags", Kind::Texts, r#"["*-rc*"]"#, "Which tags not: names and patterns."),
        field("digests", Kind::Texts, r#"["sha256:…"]"#, "Which digests, instead of tags."),
        PLATFORMS,
        SIGN_WITH,
        REQUIRES,
        FORMAT,
        ANNOTATIONS,
        RECURSIVE,
        PRUNED,
        CONTAINER_IDENTITY,
        SIGNATURE_REPOSITORY,
        OPTIONAL,
        ALLOW_EMPTY,
        ATTACHMENTS,
    ],
};

pub(super) static IMAGES_FROM: Table = Table {
    name: "images_from",
    noun: "`[[images_from]]`",
    doc: "Images that a build wrote into a file.",
    fields: &[
        field("file", Kind::Text, r#""out/images.txt""#, "The file that the build wrote.").required(),
        field("format", Kind::Choice(LISTS), r#""lines""#, "How it is written: `lines` (`repository@digest` on each), a `buildx` metadata file, or what `ko` or `apko` wrote.").required(),
        PLATFORMS,
        SIGN_WITH,
        REQUIRES,
        FORMAT,
        ANNOTATIONS,
        RECURSIVE,
        PRUNED,
        CONTAINER_IDENTITY,
        SIGNATURE_REPOSITORY,
        OPTIONAL,
        ALLOW_EMPTY,
        ATTACHMENTS,
    ],
};

static ATTACHMENT: Table = Table {
    name: "attachment",
    noun: "an attachment",
    doc: "A signature that was made elsewhere. Its payload says which image it is for.",
    fields: &[
        field("signer", Kind::Text, r#""vault-room""#, "Whose signature it is.").required(),
        field(
            "payload",
            Kind::Text,
            r#""out/web.payload.json""#,
            "The file with the payload that was signed.",
        ),
        field(
            "signature",
            Kind::Text,
            r#""out/web.sig""#,
            "The file with the signature, in base64.",
        ),
        field(
            "bundle",
            Kind::Text,
            r#""web.sigstore.json""#,
            "A sigstore bundle, instead of `payload` and `signature`.",
        ),
        field(
            "certificate",
            Kind::Text,
            r#""out/web.pem""#,
            "A PEM file with the certificate to attach; else the signer's.",
        ),
        field(
            "certificate_chain",
            Kind::Text,
            r#""out/chain.pem""#,
            "A PEM file with the certificates above it, the root last.",
        ),
        field(
            "rekor_bundle",
            Kind::Text,
            r#""out/web.rekor.json""#,
            "A JSON file with the entry of a transparency log to attach.",
        ),
        field(
            "timestamp",
            Kind::Text,
            r#""out/web.timestamp.json""#,
            "A JSON file with a timestamp (RFC 3161) to attach.",
        ),
    ],
};
