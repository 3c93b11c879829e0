//! Where a mirror is: the text that a person gives, and the places that follow from it.
//!
//! ```text
//! https://host/film.mkv?key=1     the item itself
//! https://host/film.mkv.ropewalk?key=1     its sidecar, beside it; may be given instead
//! https://host/photos/2024/a%20b.jpg       a file of the folder https://host/photos
//! s3://bucket/film.mkv, ...                the same by keys, which are taken as they are
//! ```

use crate::content::sidecar::SUFFIX;
use core::fmt;

/// The URL of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) kind: Kind,
}

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http(HttpUrl),
    S3 { bucket: String, key: String },
}

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpUrl {
    /// As `http://user:password@host:port`.
    origin: String,
    /// From its slash on; maybe empty.
    path: String,
    /// From its question mark on; maybe empty.
    query: String,
}

/// Why a text is no mirror's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins otherwise.
    #[error("it is no URL of a mirror: those begin with https://, http:// or s3://")]
    Scheme,
    /// Nothing comes after the slashes.
    #[error("the URL names no host")]
    NoHost,
    /// A bucket alone.
    #[error("the URL names a bucket but nothing in it: s3://BUCKET/KEY")]
    NoKey,
}

impl Address {
    /// Whether `text` begins like a mirror's URL, so that it can be nothing else.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        split(text).is_some()
    }

    /// The address in `text`: the URL of a file or folder, or of its sidecar.
    ///
    /// # Errors
    /// When it is no URL that a mirror may have.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = split(text).ok_or(AddressError::Scheme)?;
        let kind = if scheme == "s3://" { s3(rest)? } else { http(scheme, rest)? };
        Ok(Self { kind })
    }
}

/// Without user, password and query, which may let somebody in.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.kind {
            Kind::Http(HttpUrl { origin, path, .. }) => {
                let host = origin.rsplit(['@', '/']).next().unwrap_or_default();
                let scheme = origin.split_inclusive("//").next().unwrap_or_default();
                format!("{scheme}{host}{path}")
            }
            Kind::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
        };
        f.write_str(&crate::transfer::shown(&text))
    }
}

impl HttpUrl {
    pub(super) fn is_plain(&self) -> bool {
        self.origin.starts_with("http://")
    }

    pub(super) fn item(&self) -> String {
        format!("{}{}{}", self.origin, self.path, self.query)
    }

    /// Of the folder, so that a slash and a name may follow.
    pub(super) fn folder(&self) -> String {
        format!("{}{}{}", self.origin, self.path.trim_end_matches('/'), self.query)
    }

    /// `None` for a whole host.
    pub(super) fn sidecar(&self) -> Option<String> {
        let path = self.path.trim_end_matches('/');
        let Self { origin, query, .. } = self;
        (!path.is_empty()).then(|| format!("{origin}{path}{SUFFIX}{query}"))
    }
}

const SCHEMES: [&str; 3] = ["https://", "http://", "s3://"];

/// The scheme in small letters, and what follows.
fn split(text: &str) -> Option<(&'static str, &str)> {
    SCHEMES.into_iter().find_map(|scheme| {
        let (begin, rest) = text.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some((scheme, rest))
    })
}

fn http(scheme: &str, rest: &str) -> Result<Kind, AddressError> {
    // A fragment is for browsers.
    let rest = rest.split('#').next().unwrap_or_default();
    let (before, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let (host, path) = before.split_at(before.find('/').unwrap_or(before.len()));
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    let path = path.strip_suffix(SUFFIX).unwrap_or(path).to_owned();
    Ok(Kind::Http(HttpUrl { origin: format!("{scheme}{host}"), path, query: query.to_owned() }))
}

fn s3(rest: &str) -> Result<Kind, AddressError> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(AddressError::NoHost);
    }
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix(SUFFIX).unwrap_or(key);
    if key.is_empty() {
        return Err(AddressError::NoKey);
    }
    Ok(Kind::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> HttpUrl {
        let Kind::Http(url) = Address::parse(text).unwrap().kind else { panic!("{text}") };
        url
    }

    #[test]
    fn places_follow_from_the_url() {
        let file = url("https://h:8/a/film.mkv?key=1/2#t=3");
        assert_eq!(file.item(), "https://h:8/a/film.mkv?key=1/2");
        assert_eq!(file.sidecar().unwrap(), "https://h:8/a/film.mkv.ropewalk?key=1/2");
        assert_eq!(url("https://h:8/a/film.mkv.ropewalk?key=1/2"), file);
        let folder = url("HTTP://h/photos/");
        assert_eq!(folder.folder(), "http://h/photos");
        assert_eq!(folder.sidecar().unwrap(), "http://h/photos.ropewalk");
        assert_eq!(folder.item(), "http://h/photos/");
        assert!(folder.is_plain() && !file.is_plain());
        assert_eq!((url("http://h").sidecar(), url("http://h/").sidecar()), (None, None));
        let object = Address::parse("s3://b/k/film%20.ropewalk").unwrap();
        assert_eq!(object.kind, Kind::S3 { bucket: "b".into(), key: "k/film%20".into() });
    }

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        let shown = |text| Address::parse(text).unwrap().to_string();
        assert_eq!(shown("https://me:secret@h:8/a?token=secret"), "https://h:8/a");
        assert_eq!(shown("s3://b/k"), "s3://b/k");
    }

    #[test]
    fn what_is_none_is_said() {
        for (text, error) in [
            ("", AddressError::Scheme),
            ("film.mkv", AddressError::Scheme),
            ("ftp://h/a", AddressError::Scheme),
            ("http://", AddressError::NoHost),
            ("http:///a", AddressError::NoHost),
            ("s3:///a", AddressError::NoHost),
            ("s3://b", AddressError::NoKey),
            ("s3://b/", AddressError::NoKey),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
            assert_eq!(Address::is_one(text), text.starts_with("http:") || text.starts_with("s3:"));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, scheme in 0_usize..3) {
            let _ = Address::parse(&text);
            let text = format!("{}{text}", SCHEMES[scheme]);
            if let Ok(address) = Address::parse(&text) {
                let _ = address.to_string();
                if let Kind::Http(url) = &address.kind {
                    let _ = (url.item(), url.folder(), url.sidecar());
                }
            }
        }
    }
}
