//! TLS of one registry, from its rule.

use rustls::ClientConfig;

use crate::store::StoreErrorKind;
use crate::store::remote::failure::Failure;
use crate::store::remote::options::RegistryRule;
use crate::wire::tls::{self, Roots, Tls, TlsError};

/// The configuration for a host with this rule; HTTP/2 is offered first.
pub(super) fn client_config(rule: Option<&RegistryRule>) -> Result<ClientConfig, Failure> {
    let own = rule.and_then(|it| it.ca_file.as_deref()).map(tls::certificates).transpose();
    let own = own.map_err(failure)?.unwrap_or_default();
    let identity = rule.and_then(|it| it.client_identity.as_ref());
    let identity = identity.map(|(certificate, key)| tls::identity(certificate, key)).transpose();
    let roots = match rule.is_some_and(|it| it.skip_tls_verify) {
        true => Roots::Anyone,
        false => Roots::MachineAnd(own),
    };
    let server_name = rule.and_then(|it| it.server_name.clone());
    let tls = Tls { roots, identity: identity.map_err(failure)?, server_name };
    tls.config().map_err(failure)
}

/// The configuration for hosts that are spoken to without TLS: nobody is trusted, nothing is read.
pub(super) fn no_tls() -> Result<ClientConfig, Failure> {
    tls::no_tls().map_err(failure)
}

fn failure(error: TlsError) -> Failure {
    Failure::new(StoreErrorKind::Tls, error.0)
}
