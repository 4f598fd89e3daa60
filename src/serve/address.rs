//! The address of a server: a port of this machine, and a token that nobody guesses.

use rand::TryRngCore;
use rand::rngs::OsRng;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 16;

/// An address on 127.0.0.1 with a random token, below which everything is.
#[derive(Debug)]
pub struct Address {
    token: String,
    /// What a browser may send as `Host` for this address.
    hosts: Vec<String>,
}

impl Address {
    /// Makes an address with a fresh token of 128 random bits.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new(port: u16) -> std::io::Result<Address> {
        let mut bytes = [0; TOKEN_BYTES];
        let filled = OsRng.try_fill_bytes(&mut bytes);
        filled.map_err(std::io::Error::other)?;
        let names = ["127.0.0.1", "localhost"];
        let mut hosts: Vec<String> = names.map(|name| format!("{name}:{port}")).into();
        if port == 80 {
            hosts.extend(names.map(String::from));
        }
        Ok(Address {
            token: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            hosts,
        })
    }

    /// Returns the address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.hosts[0], self.token)
    }

    /// Checks a `Host` header. Another site whose name was made to lead to this machine (DNS
    /// rebinding) sends that name.
    pub(super) fn is_host(&self, host: &[u8]) -> bool {
        self.hosts.iter().any(|own| own.as_bytes() == host)
    }

    /// Checks an `Origin` header: that of this page, and not another site's.
    pub(super) fn is_origin(&self, origin: &[u8]) -> bool {
        let host = origin.strip_prefix(b"http://");
        host.is_some_and(|host| self.is_host(host))
    }

    /// Returns the path below the token, without the slash before it; `None` for a path that does
    /// not begin with the token.
    pub(super) fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (token, below) = path.strip_prefix('/')?.split_once('/')?;
        same(token.as_bytes(), self.token.as_bytes()).then_some(below)
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(found: &[u8], expected: &[u8]) -> bool {
    let pairs = found.iter().zip(expected);
    let differing = pairs.fold(0, |bits, (a, b)| bits | (a ^ b));
    found.len() == expected.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_and_token_are_accepted() {
        let address = Address::new(81).unwrap();
        let token = address.token.clone();
        assert_eq!(address.url(), format!("http://127.0.0.1:81/{token}/"));
        assert_ne!(Address::new(81).unwrap().token, token);
        for (host, own) in [
            ("127.0.0.1:81", true),
            ("localhost:81", true),
            ("127.0.0.1", false),
            ("127.0.0.1:82", false),
            ("example.org:81", false),
            ("", false),
        ] {
            assert_eq!(address.is_host(host.as_bytes()), own, "{host}");
            let origin = format!("http://{host}");
            assert_eq!(address.is_origin(origin.as_bytes()), own, "{origin}");
        }
        assert!(!address.is_origin(b"null") && !address.is_origin(b"https://127.0.0.1:81"));
        assert_eq!(address.below(&format!("/{token}/")), Some(""));
        assert_eq!(address.below(&format!("/{token}/jobs/1")), Some("jobs/1"));
        for path in [
            format!("/{token}"),
            format!("//{token}/"),
            format!("/{}/", &token[1..]),
            format!("/{token}0/"),
            format!("/0{}/", &token[1..]).replace("/0", "/g"),
            "/".into(),
            String::new(),
        ] {
            assert_eq!(address.below(&path), None, "{path}");
        }
        assert_eq!(Address::new(80).unwrap().hosts.len(), 4);
    }
}
