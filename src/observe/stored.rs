//! Every signature of a subject as it is stored, in both formats: what `download signature`, `import` and
//! `verify IMAGE` read.

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::crypto::{Certificate, CertificateError, Chain, SignatureBytes};
use crate::model::{Descriptor, Digest, Locator, Manifest};
use crate::observe::examine::{read_carrier, read_payload};
use crate::observe::failure_of;
use crate::observe::referrers::{MAX_BUNDLE, SIDE_BY_SIDE, read_referrers};
use crate::payload::{
    Bundle, Claim, Format, LogEntry, Material, ReferrerKind, SIGN_PREDICATE, Statement, annotation,
    referrer_kind, timestamp_from_annotation,
};
use crate::plan::{Failure, Presented, Target};
use crate::store::ReadStore;
use crate::trust::Content;

/// What is stored for a subject, and what could not be read of it.
#[derive(Clone, Debug, Default)]
pub struct StoredSignatures {
    /// The signatures: bundles in the order of their list, then those of the tag in the order of its manifest.
    pub signatures: Vec<Stored>,
    /// The referrers whose bundles are attestations.
    pub attestations: Vec<Digest>,
    /// What could not be read.
    pub unreadable: Vec<Failure>,
}

/// A signature as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What says something about the subject: a simple-signing payload, or a statement.
    pub payload: Bytes,
    /// Where it is.
    pub place: StoredAt,
    signature: Option<SignatureBytes>,
    signed: Bytes,
    certificate: Option<Result<Certificate, CertificateError>>,
    chain: Option<Chain>,
    claim: Option<Claim>,
    log_entries: Vec<LogEntry>,
    timestamps: Vec<Vec<u8>>,
    passed_over: Option<&'static str>,
}

/// Where a signature is stored.
#[derive(Clone, Debug)]
pub enum StoredAt {
    /// In a bundle.
    Bundle {
        /// The manifest that carries it.
        referrer: Digest,
        /// The bundle as it was written.
        text: Bytes,
    },
    /// In a layer behind the signature tag.
    Layer(Box<Descriptor>),
}

impl StoredSignatures {
    /// Says whether there is any bundle, attestations included: then cosign 3 ignores the tag.
    pub fn has_bundles(&self) -> bool {
        let is_bundle = |it: &Stored| it.format() == Format::Bundle;
        !self.attestations.is_empty() || self.signatures.iter().any(is_bundle)
    }

    /// The manifests of all bundles, attestations included.
    pub fn referrers(&self) -> impl Iterator<Item = &Digest> {
        let own = self.signatures.iter().filter_map(|it| match &it.place {
            StoredAt::Bundle { referrer, .. } => Some(referrer),
            StoredAt::Layer(_) => None,
        });
        own.chain(&self.attestations)
    }

    /// All of them, where all could be read.
    ///
    /// # Errors
    ///
    /// The first that could not be read.
    pub fn all(self) -> Result<Vec<Stored>, Failure> {
        self.unreadable.into_iter().next().map_or(Ok(self.signatures), Err)
    }
}

impl Stored {
    /// Its format.
    pub fn format(&self) -> Format {
        match self.place {
            StoredAt::Bundle { .. } => Format::Bundle,
            StoredAt::Layer(_) => Format::SimpleSigning,
        }
    }

    /// The signature; none where there is none that could be one.
    pub fn signature(&self) -> Option<&SignatureBytes> {
        self.signature.as_ref()
    }

    /// The certificate that came with it, where it can be read.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()?.as_ref().ok()
    }

    /// The chain that came with it, the root last.
    pub fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// What it says; none where that is nothing about an image.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// The bytes that are signed.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// As a verifier sees it.
    pub fn presented(&self) -> Presented<'_> {
        Presented {
            signed: &self.signed,
            signature: self.signature(),
            claim: self.claim(),
            certificate: self.certificate.as_ref().map(Result::as_ref),
            chain: self.chain(),
            content: match self.place {
                StoredAt::Bundle { .. } => Content::Statement(&self.payload),
                StoredAt::Layer(_) => Content::Message(&self.payload),
            },
            log_entries: &self.log_entries,
            timestamps: &self.timestamps,
            passed_over: self.passed_over,
        }
    }

    fn in_layer(layer: &Descriptor, payload: Bytes) -> Self {
        let text = |key: &str| layer.annotation(key).filter(|it| !it.is_empty());
        Self {
            signature: text(annotation::SIGNATURE)
                .and_then(|it| SignatureBytes::from_base64(it).ok()),
            certificate: text(annotation::CERTIFICATE).map(Certificate::from_pem),
            chain: text(annotation::CHAIN).and_then(|it| Chain::from_pem(it).ok()),
            claim: Claim::parse(&payload).ok(),
            log_entries: text(annotation::BUNDLE)
                .and_then(|it| LogEntry::from_annotation(it).ok())
                .into_iter()
                .collect(),
            timestamps: text(annotation::TIMESTAMP)
                .and_then(timestamp_from_annotation)
                .into_iter()
                .collect(),
            signed: payload.clone(),
            place: StoredAt::Layer(Box::new(layer.clone())),
            passed_over: None,
            payload,
        }
    }

    /// A bundle that is a signature; none where it is an attestation.
    fn in_bundle(place: StoredAt, bundle: Bundle, subject: &Digest) -> Option<Self> {
        let statement = bundle.has_statement().then(|| Statement::parse(&bundle.envelope.payload));
        let statement = statement.flatten().filter(|it| it.predicate_type == SIGN_PREDICATE)?;
        let signed = bundle.envelope.signed_bytes().into();
        Some(Self {
            passed_over: bundle.passed_over(),
            signature: bundle.signature().cloned(),
            claim: statement.claim(subject),
            log_entries: bundle.log_entries,
            timestamps: bundle.timestamps,
            certificate: match bundle.material {
                Material::Certificate(certificate) => Some(Ok(certificate)),
                Material::Key(_) | Material::None => None,
            },
            chain: None,
            payload: bundle.envelope.payload.into(),
            signed,
            place,
        })
    }
}

/// Reads the signatures of `target` in both formats, with what they sign.
///
/// One request for the manifest behind the tag and one for the list of referrers, one for each signature behind
/// the tag, two for each referrer; nothing there is an empty list.
pub async fn stored(target: &Target, store: &dyn ReadStore) -> StoredSignatures {
    let (bundles, layers) = futures::join!(in_bundles(target, store), in_layers(target, store));
    let mut all = StoredSignatures::default();
    for read in bundles.into_iter().chain(layers) {
        match read {
            Ok(Read::Signature(found)) => all.signatures.push(*found),
            Ok(Read::Attestation(referrer)) => all.attestations.push(referrer),
            Ok(Read::Other) => {}
            Err(failure) => all.unreadable.push(failure),
        }
    }
    all
}

/// What a layer or a referrer turned out to be.
enum Read {
    Attestation(Digest),
    Other,
    Signature(Box<Stored>),
}

async fn in_layers(target: &Target, store: &dyn ReadStore) -> Vec<Result<Read, Failure>> {
    let carrier = match read_carrier(target, store).await {
        Ok(Some(read)) => read.carrier,
        Ok(None) => return Vec::new(),
        Err(failure) => return vec![Err(failure)],
    };
    let reading: Vec<_> = carrier
        .layers()
        .map(|layer| async move {
            let payload = read_payload(target, store, layer.descriptor).await?;
            let found = Stored::in_layer(layer.descriptor, payload.into());
            Ok(Read::Signature(Box::new(found)))
        })
        .collect();
    stream::iter(reading).buffered(SIDE_BY_SIDE).collect().await
}

async fn in_bundles(target: &Target, store: &dyn ReadStore) -> Vec<Result<Read, Failure>> {
    let referrers = match read_referrers(target, store).await {
        Ok(referrers) => referrers,
        Err(failure) => return vec![Err(failure)],
    };
    let reading: Vec<_> =
        referrers.entries.iter().map(|entry| in_referrer(target, store, entry)).collect();
    stream::iter(reading).buffered(SIDE_BY_SIDE).collect().await
}

async fn in_referrer(
    target: &Target,
    store: &dyn ReadStore,
    entry: &Descriptor,
) -> Result<Read, Failure> {
    let (place, subject) = (&target.signatures, &target.subject.digest);
    let fetched = match store.manifest(place, &Locator::Digest(entry.digest.clone())).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind.is_absent() => return Ok(Read::Other),
        Err(error) => return Err(failure_of(&error)),
    };
    let Ok(manifest) = Manifest::parse(&fetched.bytes) else { return Ok(Read::Other) };
    let attestation = || Read::Attestation(entry.digest.clone());
    match referrer_kind(&manifest, subject) {
        ReferrerKind::Attestation(_) => Ok(attestation()),
        ReferrerKind::Bundle(layer) if layer.size > MAX_BUNDLE => Ok(attestation()),
        ReferrerKind::Bundle(layer) => {
            let text = store.blob(place, layer).await.map_err(|error| failure_of(&error))?;
            let Ok(bundle) = Bundle::parse(&text) else { return Ok(Read::Other) };
            let at = StoredAt::Bundle { referrer: entry.digest.clone(), text };
            let found = Stored::in_bundle(at, bundle, subject);
            Ok(found.map_or_else(attestation, |it| Read::Signature(Box::new(it))))
        }
        ReferrerKind::Experimental | ReferrerKind::Other | ReferrerKind::Stranger => {
            Ok(Read::Other)
        }
    }
}
