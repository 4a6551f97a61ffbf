//! Encrypted connections: the system's certificate authorities, host names verified.

use std::path::Path;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::Fault;

/// A connector that verifies the server and its name, against `root` or the system's authorities.
pub(super) fn connector(root: Option<&Path>) -> Result<MakeRustlsConnect, Fault> {
    let mut roots = RootCertStore::empty();
    match root {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let cannot =
                |why: String| Fault::config(format!("sslrootcert {}: {why}", path.display()));
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| cannot(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
                roots.add(certificate).map_err(|error| cannot(error.to_string()))?;
            }
        }
    }
    if roots.is_empty() {
        return Err(Fault::config("the system has no certificate authorities")
            .hint("install ca-certificates"));
    }
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(Fault::config)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
