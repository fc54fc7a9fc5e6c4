//! The stable codes of everything that can be wrong with a spec. Pure.

use std::fmt;

macro_rules! codes {
    ($($name:ident, $text:literal, $meaning:literal;)*) => {
        /// What is wrong with a spec: a stable code that scripts and documents can name.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All of them, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as users see it: `spec::unknown_key`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }

        /// Every code with what it means, in the order of the codes.
        pub const CODES: &[(&str, &str)] = &[$(($text, $meaning),)*];
    };
}

codes! {
    Bundle, "spec::bundle", "The bundle of an attachment is no signature on an image, or none that cosign takes.";
    Certificate, "spec::certificate", "A file that should hold a certificate does not.";
    CertificateMismatch, "spec::certificate_mismatch", "A certificate is for another key than the signer's.";
    Chain, "spec::chain", "A certificate chain does not lead from the certificate to its last certificate.";
    Conflict, "spec::conflict", "Two keys that exclude each other stand together, or one lacks its partner.";
    DefinedTwice, "spec::defined_twice", "A key is written twice, or a signer has the same name as another.";
    Digest, "spec::digest", "A text that should be a digest is not.";
    DigestNeeded, "spec::digest_needed", "An image has no digest, and `digests_only` asks for one.";
    Duplicate, "spec::duplicate", "The same thing is written twice.";
    Duration, "spec::duration", "A text that should be a duration is not.";
    Ed25519Log, "spec::ed25519_log", "An Ed25519 signer asks for a log entry, which no log takes in a form that cosign verifies.";
    Empty, "spec::empty", "A text or a list is empty.";
    EnvNotAllowed, "spec::env_not_allowed", "An environment variable is named that the command line does not allow.";
    EnvUnset, "spec::env_unset", "An environment variable is named that is not set, or is empty.";
    Evidence, "spec::evidence", "A log entry or timestamp of an attachment is no JSON object.";
    FirstFileOnly, "spec::first_file_only", "A section stands in a file where it is not allowed.";
    Glob, "spec::glob", "A text that should be a pattern is not.";
    Hash, "spec::hash", "A hash is declared for a key that takes none.";
    ImagesFrom, "spec::images_from", "A list of images that a build wrote cannot be understood.";
    ImagesFromEmpty, "spec::images_from_empty", "A list of images that a build wrote names none.";
    IncludeCycle, "spec::include_cycle", "A file includes itself, or is read twice.";
    IncludeEmpty, "spec::include_empty", "A pattern of `include` matches no file.";
    KeyReference, "spec::key_reference", "A key is referred to in a way that is not taken.";
    LayoutIdentity, "spec::layout_identity", "An image in a layout has no container identity for its payload.";
    MissingKey, "spec::missing_key", "A key that is needed is missing.";
    NoImages, "spec::no_images", "The spec names no image, so there is nothing to do.";
    NoProofOfTime, "spec::no_proof_of_time", "An identity signs with certificates that end in minutes, and nothing proves the time.";
    NoSigningConfig, "spec::no_signing_config", "A signer needs services that the private deployment does not name.";
    OutOfRange, "spec::out_of_range", "A number is too small or too large.";
    Payload, "spec::payload", "The payload of an attachment is no claim about an image.";
    Platform, "spec::platform", "A text that should be a platform is not.";
    PublicKey, "spec::public_key", "A file that should hold a public key does not.";
    Reference, "spec::reference", "A text names no image or repository.";
    Regexp, "spec::regexp", "A text that should be a regular expression is not.";
    RetiredSigner, "spec::retired_signer", "A retired signer is asked to sign.";
    SameKey, "spec::same_key", "A retired signer has the key of one that still signs.";
    Signature, "spec::signature", "The signature of an attachment is not base64.";
    SignatureMismatch, "spec::signature_mismatch", "The signature of an attachment does not verify.";
    SignatureTag, "spec::signature_tag", "A tag that carries signatures is named as an image.";
    SignerName, "spec::signer_name", "A text cannot name a signer.";
    SigningConfig, "spec::signing_config", "A file that should hold a signing config does not.";
    Syntax, "spec::syntax", "The file is not TOML.";
    Tag, "spec::tag", "A text that should be a tag is not.";
    TrustedRoot, "spec::trusted_root", "A file that should hold a trusted root does not.";
    UnknownKey, "spec::unknown_key", "A key is not part of the language.";
    UnknownSigner, "spec::unknown_signer", "A signer is named that the spec does not define.";
    UnknownValue, "spec::unknown_value", "A text is not one of those that the key takes.";
    UnknownVariable, "spec::unknown_variable", "A variable has no value.";
    Unreadable, "spec::unreadable", "A file cannot be read.";
    Untrusted, "spec::untrusted", "The spec does something that `--untrusted-spec` refuses.";
    UnusedSigner, "spec::unused_signer", "A signer is defined and never used.";
    UnusedVariable, "spec::unused_variable", "A variable was given that nothing uses.";
    Url, "spec::url", "A text that should be a URL is not.";
    Variable, "spec::variable", "A `${…}` is not closed, or names nothing, or a variable cannot be read.";
    Version, "spec::version", "The file does not say `version = 1`.";
    WrongType, "spec::wrong_type", "A value is of the wrong type.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
