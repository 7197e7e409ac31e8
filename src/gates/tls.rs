//! TLS of the HTTP client: which servers it trusts, and the connection.
//!
//! It is rustls and not OpenSSL, which libssh2 has on the deploy host: the build for targets, which makes no SSH
//! connection but downloads, would be a third larger with that.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned,
};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::files::no_links;

/// The last words of the line above every kind of private key in PEM format.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";
/// How a certificate in DER format begins.
const DER_SEQUENCE: u8 = 0x30;

/// Turns connections to addresses of https into those with TLS.
#[derive(Debug)]
pub struct Tls {
    /// The certificates to trust; `None`: those of the system, which are read once they are needed.
    roots: Option<Vec<CertificateDer<'static>>>,
}

impl Tls {
    /// A file of certificates in PEM format is trusted instead of those of the system.
    ///
    /// # Errors
    /// Those of [`certificates`].
    pub fn new(ca_file: Option<&Path>) -> Result<Tls, String> {
        Ok(Tls { roots: ca_file.map(certificates).transpose()? })
    }

    fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = self.roots.clone().unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
        let none = || Error::General("this host trusts no certificates: install ca-certificates".to_owned());
        let verifier = Verifier::new(roots, provider.clone()).ok_or_else(none)?;
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

/// The certificates in a file in PEM format, at least one of which can be used.
///
/// # Errors
/// The file cannot be read, or has no such certificate. The message names the file, and never quotes it: it may be a key.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let bytes = no_links::read_other(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let (mut roots, mut is_damaged) = (Vec::new(), false);
    for block in CertificateDer::pem_slice_iter(&bytes) {
        match block {
            Ok(root) => roots.push(root),
            Err(_) => is_damaged = true,
        }
    }
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(roots.iter().cloned());
    if usable > 0 {
        return Ok(roots);
    }
    let has_key = bytes.windows(PRIVATE_KEY.len()).any(|part| part == PRIVATE_KEY);
    Err(match bytes.trim_ascii() {
        [] => format!("{shown} is empty: write certificates in PEM format into it"),
        _ if is_damaged || !roots.is_empty() => format!("{shown} contains no certificate that is whole: copy it again"),
        _ if has_key => format!("{shown} contains a private key and no certificate: name the file of the certificate"),
        [DER_SEQUENCE, ..] => {
            let convert = "convert it with `openssl x509 -inform DER -in FILE -out NEW`";
            format!("{shown} contains no certificate in PEM format; if it is one in DER format, {convert}")
        }
        _ => format!("{shown} contains no certificate in PEM format"),
    })
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secured>;

    fn connect(&self, details: &ConnectionDetails, below: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(below) = below else { return Ok(None) };
        if !details.needs_tls() || below.is_tls() {
            return Ok(Some(Either::A(below)));
        }
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| ureq::Error::Tls("the server has no valid name"))?;
        let failed = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let mut connection = ClientConnection::new(Arc::new(self.config().map_err(failed)?), name).map_err(failed)?;
        let mut socket = TransportAdapter::new(below.boxed(), details.current_time.clone());
        socket.set_timeout(time_left(details));
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Secured { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

/// What the connection below has left of the time to connect.
fn time_left(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Duration::Exact(all), Instant::Exact(began)) = (timeout.after, details.now) {
        timeout.after = Duration::Exact(all.saturating_sub(began.elapsed()));
    }
    timeout
}

/// A connection with TLS.
pub struct Secured {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secured").field(&self.stream.sock.get_ref()).finish()
    }
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let got = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(got);
        Ok(got > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Trusts a server whose certificate a root has signed, or is a root itself.
#[derive(Debug)]
struct Verifier {
    roots: Vec<CertificateDer<'static>>,
    by_signature: Arc<WebPkiServerVerifier>,
}

impl Verifier {
    /// `None`: not one of the roots can be used.
    fn new(roots: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Option<Verifier> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let by_signature = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().ok()?;
        Some(Verifier { roots, by_signature })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.by_signature.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The certificate that `openssl req -x509` makes for a server says that it is an authority's. Its dates were
            // verified before that was seen, its name was not.
            Err(error) if is_authority(&error) && self.roots.iter().any(|root| root == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_signature.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_signature.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_signature.supported_verify_schemes()
    }
}

/// Whether a server's certificate was refused because it says that it is an authority's.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(error)) = error else { return false };
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

const REFUSED: &str = "certificate verify failed";

/// Why there is no connection, in the usual terms; `None`: not because of TLS.
pub fn why(error: &std::io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        error if is_authority(error) => {
            format!("{REFUSED}: it is an authority's, and not itself among the trusted ones")
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("{REFUSED}: this host does not trust who has issued it")
        }
        Error::InvalidCertificate(why) => format!("{REFUSED}: {why}"),
        Error::General(why) => why.clone(),
        other => other.to_string(),
    })
}
