//! The program `xmlsec1` as a second opinion on what we sign and encrypt.

use std::process::{Command, Output};

/// Whether the element `id_of` (namespace and name, joined by a colon) is signed by the key of that certificate.
pub(crate) fn xmlsec1_verifies(xml: &str, id_of: &str, certificate_pem: &str) -> bool {
    let args = ["--verify", "--enabled-key-data", "x509,rsa,ec,ecdsa", "--id-attr:ID", id_of, "--pubkey-cert-pem"];
    run(&args, certificate_pem, xml).status.success()
}

/// The document with its EncryptedData decrypted by that private key.
pub(crate) fn xmlsec1_decrypts(xml: &str, key_pem: &str) -> Option<String> {
    let output = run(&["--decrypt", "--privkey-pem"], key_pem, xml);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn run(args: &[&str], key: &str, xml: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (message, key_file) = (folder.path().join("m.xml"), folder.path().join("k.pem"));
    std::fs::write(&message, xml).unwrap();
    std::fs::write(&key_file, key).unwrap();
    let output = Command::new("xmlsec1").args(args).arg(&key_file).arg(&message).output();
    let output = output.expect("the tests need the program xmlsec1");
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output
}
