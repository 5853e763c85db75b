//! Ranges of addresses, as `ip("10.0.0.0/8")` writes them.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// An address with a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads a range; an address alone is a range of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let bits = bits(address);
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// The same range, with nothing set beyond the prefix.
    #[must_use]
    pub fn base(&self) -> Self {
        let host = bits(self.address) - self.prefix;
        let address = match self.address {
            IpAddr::V4(address) => {
                let kept = u32::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & kept))
            }
            IpAddr::V6(address) => {
                let kept = u128::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & kept))
            }
        };
        Self {
            address,
            prefix: self.prefix,
        }
    }

    /// Whether every address of another range is in this one.
    pub fn contains(&self, other: &Self) -> bool {
        let cut = Self {
            address: other.address,
            prefix: self.prefix,
        };
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.prefix <= other.prefix
            && cut.base() == self.base()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn ranges_have_a_base_and_contain_others() {
        let network = |text| Network::parse(text).unwrap();
        for (text, base) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/0", "0.0.0.0/0"),
            ("fe80::1/64", "fe80::/64"),
            ("::1/0", "::/0"),
        ] {
            assert_eq!(network(text).base().to_string(), base);
        }
        assert!(network("10.0.0.0/8").contains(&network("10.1.2.3/16")));
        assert!(!network("10.1.0.0/16").contains(&network("10.0.0.0/8")));
        assert!(!network("10.1.0.0/16").contains(&network("10.2.0.0/16")));
        assert!(!network("0.0.0.0/0").contains(&network("::1")));
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/x", "/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
