//! TLS to a collector: whom it is believed by, and who we are.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// The files of TLS, in PEM, as variables name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The certificates that the collector's is believed by; those of the system if
    /// there is none.
    pub authorities: Option<PathBuf>,
    /// What we show, with its key, if the collector asks for it.
    pub identity: Option<Identity>,
}

/// A certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those up to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or has not what it should have: the variable that
    /// names it, and why.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let roots = match &self.authorities {
            Some(path) => authorities(path)?,
            None => of_the_system()?,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?
            .with_root_certificates(roots);
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let shown = certificates("CLIENT_CERTIFICATE", &identity.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&identity.key)
            .map_err(|error| unread("CLIENT_KEY", &identity.key, &error.to_string()))?;
        builder
            .with_client_auth_cert(shown, key)
            .map_err(|error| unread("CLIENT_KEY", &identity.key, &error.to_string()))
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("CERTIFICATE", path)? {
        roots
            .add(certificate)
            .map_err(|error| unread("CERTIFICATE", path, &error.to_string()))?;
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // One that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "the system has no certificates of authorities: name that of the collector in `OTEL_EXPORTER_OTLP_CERTIFICATE`";
        return Err(why.to_owned());
    }
    Ok(roots)
}

fn certificates(variable: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unread(variable, path, &error.to_string()))?;
    if read.is_empty() {
        return Err(unread(variable, path, "there is no certificate in it"));
    }
    Ok(read)
}

fn unread(variable: &str, path: &Path, why: &str) -> String {
    let path = path.display();
    format!(
        "`{path}` of `OTEL_EXPORTER_OTLP_{variable}` cannot be used: {why}; nothing is exported"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Identity;
    use super::Tls;

    #[test]
    fn a_file_that_cannot_be_used_is_told_with_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(of("ca.pem"), ca.cert.pem()).unwrap();
        fs::write(of("ca.key"), ca.signing_key.serialize_pem()).unwrap();
        fs::write(of("empty.pem"), "").unwrap();
        let tls = |authority: &str, certificate: &str, key: &str| {
            let identity = Identity {
                certificate: of(certificate),
                key: of(key),
            };
            let tls = Tls {
                authorities: Some(of(authority)),
                identity: Some(identity),
            };
            tls.config().map(drop)
        };
        assert_eq!(tls("ca.pem", "ca.pem", "ca.key"), Ok(()));
        for (authority, certificate, key, variable) in [
            ("none", "ca.pem", "ca.key", "OTLP_CERTIFICATE"),
            ("empty.pem", "ca.pem", "ca.key", "OTLP_CERTIFICATE"),
            ("ca.pem", "ca.key", "ca.key", "OTLP_CLIENT_CERTIFICATE"),
            ("ca.pem", "ca.pem", "ca.pem", "OTLP_CLIENT_KEY"),
        ] {
            let error = tls(authority, certificate, key).unwrap_err();
            assert!(error.contains(variable), "{error}");
        }
    }
}
