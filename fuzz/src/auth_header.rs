//! What a registry answers where it wants a credential, and whom that would be given to.

/// Whose credential is at stake.
const REGISTRY: &str = "registry.example.com";

/// A credential goes to nobody but the registry and hosts of the same domain, whatever a header says.
pub fn auth_header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for realm in image::fuzzing::realms(&text) {
        let Some(host) = image::fuzzing::token_host(REGISTRY, &realm) else { continue };
        assert!(host == "example.com" || host.ends_with(".example.com"), "{realm:?}: {host}");
        assert!(realm.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")), "{realm:?}");
        assert!(host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@?#\\".contains(&byte)), "{host:?}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push""#,
        r#"Basic realm="x", Bearer realm=https"#,
        r#"bearer REALM = "https://registry.example.com:443/t?x=1#y""#,
        r#"Bearer realm="https://user:password@example.com/token""#,
        r#"Bearer realm="http://auth.example.com/token""#,
        r#"Bearer realm="https://[::1]/token", Negotiate, Digest realm=x"#,
        r#"Bearer realm="https://EXAMPLE.com\"\\/",,, basic"#,
        r#"Bearer realm="https://169.254.169.254/latest"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub const WORDS: &[&str] = &[
    "Bearer ",
    "Basic ",
    "realm=",
    "service=",
    "scope=",
    "\"",
    "\\\"",
    "https://",
    "http://",
    "file://",
    "//",
    "@",
    ".example.com",
    "example.com",
    "evil.io",
    "localhost",
    "127.0.0.1",
    "169.254.169.254",
    "[::ffff:127.0.0.1]",
    ":443",
    "%2e",
    "\t",
    "\\",
    "#",
    "?",
];
