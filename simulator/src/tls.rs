//! The simulator's own certificate authority, made anew at every start.

use crate::error::{Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// A certificate authority and a server certificate for this machine's loopback names.
pub struct Authority {
    /// What clients have to trust, PEM.
    pub ca_pem: String,
    /// For the https listeners.
    pub server: Arc<ServerConfig>,
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Tls(format!("{what}: {error}"))
}

impl Authority {
    /// Makes keys and certificates; nothing is kept on disk.
    pub fn new() -> Result<Self> {
        let ca_key = KeyPair::generate().map_err(|e| failed("make the CA's key", e))?;
        let mut ca = CertificateParams::new(Vec::<String>::new())
            .map_err(|e| failed("describe the CA", e))?;
        ca.distinguished_name.push(DnType::CommonName, "easysync simulator CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_cert = ca.self_signed(&ca_key).map_err(|e| failed("sign the CA", e))?;
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().map_err(|e| failed("make the server's key", e))?;
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut leaf =
            CertificateParams::new(names).map_err(|e| failed("describe the server", e))?;
        leaf.distinguished_name.push(DnType::CommonName, "easysync simulator");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&key, &issuer).map_err(|e| failed("sign the server", e))?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed("choose TLS versions", e))?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(|e| failed("set up TLS", e))?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Authority { ca_pem: ca_cert.pem(), server: Arc::new(server) })
    }
}
