//! Certificates.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, pki_types::PrivateKeyDer};

/// An authority, and a server on this machine with a certificate of it.
async fn serve() -> (String, u16) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let authority = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut buffer = [0; 1024];
                let _request = stream.read(&mut buffer).await;
                let answer = b"HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]";
                stream.write_all(answer).await.ok();
                stream.shutdown().await.ok();
            }
        }
    });
    (pem, port)
}

fn trusting(ca_pem: Option<Vec<u8>>) -> Client {
    let policy = AddressPolicy::parse("localhost 127.0.0.1").unwrap();
    let config = HttpConfig { policy, ca_pem, clock: TestClock::new() };
    HttpContext::new(config).unwrap().client("account", ClientConfig::default())
}

#[tokio::test]
async fn an_own_authority_is_trusted_where_the_ca_file_holds_it_and_nowhere_else() {
    let (pem, port) = serve().await;
    let get = |host| Request::get(Url::parse(&format!("https://{host}:{port}/")).unwrap());
    trusting(Some(pem.clone().into_bytes())).send(&get("localhost")).await.unwrap();
    let error = trusting(None).send(&get("localhost")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("tls", false));
    assert!(error.whole().starts_with(&format!("\"localhost:{port}\" can not be reached: TLS: ")));
    assert!(error.hint.unwrap().contains("easysync.ca_file"));
    let error = trusting(Some(pem.into_bytes())).send(&get("127.0.0.1")).await.unwrap_err();
    assert_eq!(error.code, "tls", "a certificate for another name: {}", error.message);
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let policy = AddressPolicy::default();
        let ca_pem = Some(pem.as_bytes().to_vec());
        let error = HttpContext::new(HttpConfig { policy, ca_pem, clock: TestClock::new() }).err();
        assert_eq!(error.unwrap().sqlstate(), "22023", "{pem:?}");
    }
}
