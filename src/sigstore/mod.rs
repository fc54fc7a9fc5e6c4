//! The conversation with the services of sigstore. Each module is one service.
