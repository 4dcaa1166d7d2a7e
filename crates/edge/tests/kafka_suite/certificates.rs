//! Certificates of a test's own authority.

/// A CA with a certificate for the broker and one for a client.
pub(crate) struct Certificates {
    pub(crate) ca_pem: String,
    /// For `localhost`: chain, key.
    pub(crate) broker: (String, String),
    pub(crate) client: (String, String),
}

pub(crate) fn certificates() -> Certificates {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    // OpenSSL takes a certificate whose subject is its issuer's for self-signed: give both a name.
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "authority");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    Certificates {
        ca_pem,
        broker: issue("localhost"),
        client: issue("feed.glasshouse.example"),
    }
}
