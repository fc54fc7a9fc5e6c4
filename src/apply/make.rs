//! Making one signature: what an earlier run left in a log, or a new one; with everything that bears witness to it.

use crate::apply::turn::Turn;
use crate::crypto::{Certificate, Chain, Hash, PublicKey, SignatureBytes};
use crate::keys::Keyring;
use crate::observe::key_failure;
use crate::payload::{Format, statement_signed_bytes};
use crate::plan::{Failure, Making, SignerKey, SignerState, Signers, Want};
use crate::sigstore::{Evidence, Remembered, Witness, Witnesses};
use crate::trust::{Content, Signed, Verifier};

/// What signatures of a run are made with.
#[derive(Clone, Copy)]
pub(super) struct Makers<'a> {
    pub(super) signers: &'a Signers,
    pub(super) keyring: &'a Keyring,
    pub(super) witnesses: &'a Witnesses,
    /// Given to others while this one waits for services.
    pub(super) turn: &'a Turn,
}

/// A signature that is good, and what goes with it.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) signature: SignatureBytes,
    pub(super) public_key: PublicKey,
    pub(super) certificate: Option<Certificate>,
    pub(super) chain: Option<Chain>,
    pub(super) evidence: Evidence,
}

impl Makers<'_> {
    /// Makes the signature of `want` over `payload`: a claim, or a statement.
    ///
    /// # Errors
    ///
    /// When the key cannot be opened or used, when what it gave does not verify, and when a service that must bear
    /// witness does not, or gives what does not hold.
    pub(super) async fn make(&self, want: &Want, payload: &[u8]) -> Result<Fresh, Failure> {
        let state = self.signers.get(&want.signer).ok_or_else(|| {
            Failure::error("run::defect", "a signature of a signer that nobody knows was wanted")
        })?;
        let content = match want.format {
            Format::SimpleSigning => Content::Message(payload),
            Format::Bundle => Content::Statement(payload),
        };
        let Some(witness) = self.witnesses.of(&want.signer) else {
            return self.sign(want, state, content).await;
        };
        // Nothing is signed for which there is no log.
        witness.is_ready(want.format)?;
        if want.making == Making::IfMissing
            && let Some(fresh) = self.turn.wait(remembered(want, state, content, witness)).await?
        {
            return Ok(fresh);
        }
        let fresh = self.sign(want, state, content).await?;
        let signed = fresh.signed(content);
        let evidence = witness.witness(&signed, hash_of(state), want.format);
        let evidence = self.turn.wait(evidence).await?;
        Ok(Fresh { evidence, ..fresh })
    }

    async fn sign(
        &self,
        want: &Want,
        state: &SignerState,
        content: Content<'_>,
    ) -> Result<Fresh, Failure> {
        let failed = |error: std::sync::Arc<crate::keys::KeyError>| key_failure(&error);
        let signer = self.keyring.signer(&want.signer).await.map_err(failed)?;
        let (message, hash) = (signed_bytes(content), hash_of(state));
        let signed = signer.sign(&message, hash).await.map_err(|error| key_failure(&error))?;
        let key = state.public_key().unwrap_or(&signed.public_key);
        let unchecked = matches!(state.key, SignerKey::Unchecked);
        if !unchecked && !key.verifies(&message, &signed.signature, hash) {
            return Err(does_not_verify(want));
        }
        let (certificate, chain) = match signed.certificate {
            Some((certificate, chain)) => (Some(certificate), chain),
            None => (state.profile.certificate.clone(), state.profile.chain.clone()),
        };
        Ok(Fresh {
            signature: signed.signature,
            public_key: key.clone(),
            certificate,
            chain,
            evidence: Evidence::default(),
        })
    }
}

impl Fresh {
    fn signed<'a>(&'a self, content: Content<'a>) -> Signed<'a> {
        let verifier = match &self.certificate {
            Some(certificate) => Verifier::Certificate(certificate),
            None => Verifier::Key(&self.public_key),
        };
        Signed { content, signature: &self.signature, verifier }
    }
}

/// A signature that an earlier run has had recorded and could not write, with timestamps of now.
async fn remembered(
    want: &Want,
    state: &SignerState,
    content: Content<'_>,
    witness: &Witness,
) -> Result<Option<Fresh>, Failure> {
    let accepts = |key: &PublicKey, certificate: Option<&Certificate>| {
        let declared = state.profile.certificate.as_ref();
        match (&state.profile.identity, certificate) {
            (None, found) => state.public_key() == Some(key) && found == declared,
            (Some(policy), Some(found)) => witness.vouches_for(found, policy, want.format),
            (Some(_), None) => false,
        }
    };
    let found = witness.remembered(content, hash_of(state), want.format, accepts).await;
    let Some(Remembered { signature, public_key, certificate, entry }) = found else {
        return Ok(None);
    };
    tracing::info!(signer = %want.signer, index = entry.log_index, "rekor.found_again");
    let chain = state.profile.chain.clone();
    let evidence = Evidence { log_entries: vec![entry], timestamps: Vec::new() };
    let mut fresh = Fresh { signature, public_key, certificate, chain, evidence };
    fresh.evidence.timestamps = witness.stamp(&fresh.signed(content), want.format).await?;
    Ok(Some(fresh))
}

pub(super) fn does_not_verify(want: &Want) -> Failure {
    Failure::error(
        "signature::does_not_verify",
        format!("what {} gave does not verify under its public key", want.signer),
    )
    .help("nothing was uploaded; check that `key` and `public_key` belong together")
}

fn signed_bytes(content: Content<'_>) -> Vec<u8> {
    match content {
        Content::Message(message) => message.to_vec(),
        Content::Statement(statement) => statement_signed_bytes(statement),
        Content::Digest(digest) => digest.to_vec(),
    }
}

fn hash_of(state: &SignerState) -> Hash {
    state.profile.hash
}
