//! Authorities that a verifier trusts, and whether a certificate stands below one of them.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::EndEntityCert;

use crate::crypto::chain::{CodeSigning, authority, explain, for_code_signing, may_sign};
use crate::crypto::{Certificate, CertificateError, Chain};
use crate::model::Timestamp;

/// Roots, and certificates that may stand between them and a leaf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorities {
    roots: Vec<Certificate>,
    between: Vec<Certificate>,
}

impl Authorities {
    /// Any of `roots`, and what may stand between: cosign's `--ca-roots` and `--ca-intermediates`.
    pub fn new(roots: &Chain, between: Option<&Chain>) -> Self {
        let between = between.map(|it| it.certificates().to_vec()).unwrap_or_default();
        Self { roots: roots.certificates().to_vec(), between }
    }

    /// The last of `chain` as root, and the others between: cosign's `--certificate-chain`.
    pub fn of_chain(chain: &Chain) -> Self {
        let (root, between) = match chain.certificates().split_last() {
            Some((root, between)) => (vec![root.clone()], between.to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        Self { roots: root, between }
    }

    /// Checks that `leaf` chains to one of the roots for code signing, as cosign does: at the first moment of the
    /// leaf, and at `at` too.
    ///
    /// Where the verifier has no certificates to stand between, those that came with the signature are taken, but
    /// for their last, which is to be the root.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotValidAt`] for the leaf; [`CertificateError::Untrusted`].
    pub fn verify(
        &self,
        leaf: &Certificate,
        carried: Option<&Chain>,
        at: Timestamp,
    ) -> Result<(), CertificateError> {
        leaf.check_valid(at)?;
        let carried = carried.and_then(|it| it.certificates().split_last());
        let between = match carried {
            Some((_, carried)) if self.between.is_empty() => carried,
            _ => &self.between,
        };
        self.chains(leaf, between, leaf.not_before())?;
        self.chains(leaf, between, at)
    }

    fn chains(
        &self,
        leaf: &Certificate,
        between: &[Certificate],
        at: Timestamp,
    ) -> Result<(), CertificateError> {
        let fits = |root: &&Certificate| {
            root.check_valid(at)
                .and_then(|()| authority(root))
                .and_then(|()| for_code_signing(root))
        };
        if self.roots.contains(leaf) {
            // A leaf that is trusted itself.
            return for_code_signing(leaf);
        }
        let roots: Vec<_> = self.roots.iter().filter(|it| fits(it).is_ok()).map(der).collect();
        let untrusted = |error: webpki::Error| CertificateError::Untrusted(explain(&error));
        let anchors = roots.iter().map(webpki::anchor_from_trusted_cert);
        let anchors = anchors.collect::<Result<Vec<TrustAnchor<'_>>, _>>().map_err(untrusted)?;
        let between: Vec<_> = between.iter().filter(|it| may_sign(it).is_ok()).map(der).collect();
        let seconds = u64::try_from(at.as_seconds()).unwrap_or(0);
        let leaf = der(leaf);
        EndEntityCert::try_from(&leaf)
            .map_err(untrusted)?
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &between,
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
                CodeSigning,
                None,
                None,
            )
            .map_err(untrusted)?;
        Ok(())
    }
}

fn der(certificate: &Certificate) -> CertificateDer<'_> {
    CertificateDer::from(certificate.as_der())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair, date_time_ymd,
    };

    use super::*;

    type Made = (String, Issuer<'static, KeyPair>);

    fn params(name: &str, from: i32, until: i32) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params
    }

    fn above(name: &str, until: i32) -> CertificateParams {
        let mut params = params(name, 2020, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn root(name: &str, until: i32) -> Made {
        let (params, key) = (above(name, until), KeyPair::generate().unwrap());
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    }

    fn below(parent: &Made, params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &parent.1).unwrap().pem(), Issuer::new(params, key))
    }

    fn leaf(parent: &Made, usage: ExtendedKeyUsagePurpose) -> Certificate {
        let mut params = params("leaf", 2026, 2027);
        params.extended_key_usages = vec![usage];
        Certificate::from_pem(&below(parent, params).0).unwrap()
    }

    fn chain(made: &[&Made]) -> Chain {
        Chain::from_pem(&made.iter().map(|it| it.0.as_str()).collect::<String>()).unwrap()
    }

    /// 2026-06-01.
    fn june() -> Timestamp {
        Timestamp::from_seconds(1_780_272_000)
    }

    #[test]
    fn one_of_several_roots_is_enough_whatever_is_between() {
        let (other, own) = (root("other", 2060), root("own", 2060));
        let middle = below(&own, above("middle", 2060));
        let leaf = leaf(&middle, ExtendedKeyUsagePurpose::CodeSigning);
        let both = chain(&[&other, &own]);
        let given = Authorities::new(&both, Some(&chain(&[&middle])));
        assert_eq!(given.verify(&leaf, None, june()), Ok(()));
        let bare = Authorities::new(&both, None);
        assert!(matches!(bare.verify(&leaf, None, june()), Err(CertificateError::Untrusted(_))));
        // What came with the signature, and its last is never taken for one between.
        assert_eq!(bare.verify(&leaf, Some(&chain(&[&middle, &own])), june()), Ok(()));
        assert!(bare.verify(&leaf, Some(&chain(&[&middle])), june()).is_err());
        let of_chain = Authorities::of_chain(&chain(&[&middle, &own]));
        assert_eq!(of_chain.verify(&leaf, None, june()), Ok(()));
        let wrong = Authorities::of_chain(&chain(&[&own, &other]));
        assert!(wrong.verify(&leaf, Some(&chain(&[&middle, &own])), june()).is_err());
    }

    #[test]
    fn what_is_over_or_for_something_else_is_not_trusted() {
        let own = root("own", 2060);
        let trusted = Authorities::of_chain(&chain(&[&own]));
        let signing = leaf(&own, ExtendedKeyUsagePurpose::CodeSigning);
        assert_eq!(trusted.verify(&signing, None, june()), Ok(()));
        let later = Timestamp::from_seconds(june().as_seconds() + 400 * 86_400);
        let over = trusted.verify(&signing, None, later).unwrap_err();
        assert!(matches!(over, CertificateError::NotValidAt { .. }), "{over}");
        let server = leaf(&own, ExtendedKeyUsagePurpose::ServerAuth);
        assert!(trusted.verify(&server, None, june()).is_err());
        // A root that ended between the first moment of the leaf and now.
        let short = root("short", 2026);
        let leaf = leaf(&short, ExtendedKeyUsagePurpose::CodeSigning);
        let trusted = Authorities::of_chain(&chain(&[&short]));
        assert!(trusted.verify(&leaf, None, june()).is_err());
    }
}
