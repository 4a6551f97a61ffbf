//! Encrypted connections: which certificates are asked for, and what is verified of the server's.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::Fault;

/// How much of the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// Encrypted only: `allow`, `prefer`, `require`.
    Nothing,
    /// An authority that is trusted signed it: `verify-ca`.
    Authority,
    /// And it is made out for this host: `verify-full`.
    AuthorityAndName,
}

/// A connector that verifies the server against `root` or the system's authorities, and shows `own` (certificate, key).
pub(super) fn connector(
    verify: Verify,
    root: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<MakeRustlsConnect, Fault> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        Verify::Nothing => Arc::new(Lenient { provider: provider.clone(), authorities: None }),
        Verify::Authority => Arc::new(Lenient {
            authorities: Some(authorities(root, &provider)?),
            provider: provider.clone(),
        }),
        Verify::AuthorityAndName => authorities(root, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Fault::config)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("sslcert", certificate)?;
            let cannot = |why: String| Fault::config(format!("sslkey {}: {why}", key.display()));
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| cannot(error.to_string()))?;
            config.with_client_auth_cert(chain, key).map_err(|error| cannot(error.to_string()))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(
    root: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Fault> {
    let mut roots = RootCertStore::empty();
    match root {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            for certificate in certificates("sslrootcert", path)? {
                roots.add(certificate).map_err(|error| {
                    Fault::config(format!("sslrootcert {}: {error}", path.display()))
                })?;
            }
        }
    }
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build().map_err(
        |_| {
            Fault::config("there are no certificate authorities to verify the database with")
                .hint("install ca-certificates, or name a file with sslrootcert")
        },
    )
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let cannot = |why: String| {
        Fault::config(format!("{key} {}: {why}", path.display()))
            .hint("it has to be a file of certificates in PEM form that this user can read")
    };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(|error| cannot(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| cannot(error.to_string()))?;
    if found.is_empty() { Err(cannot("it holds no certificate".to_owned())) } else { Ok(found) }
}

/// Verifies less than rustls would: the chain without the name, or nothing but that the peer holds its key.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(rustls::Error::InvalidCertificate(
                NotValidForName | NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
