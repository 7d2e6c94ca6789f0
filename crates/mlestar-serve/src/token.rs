//! The token that requests must bear.

use crate::error::ServeError;
use crate::refusal::Refusal;
use axum::http::{HeaderMap, header};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

/// The shortest token, in bytes.
const MIN_BYTES: usize = 16;

/// The hash of the token, or none. Hashes are compared in constant time, so the time of an answer tells nothing about
/// the token.
#[derive(Debug, Default)]
pub struct Token(RwLock<Option<blake3::Hash>>);

impl Token {
    /// Reads the token from its file, or keeps none.
    ///
    /// # Errors
    /// [`ServeError::File`] if the file cannot be read or its first line has fewer than 16 bytes.
    pub fn read(file: Option<&Path>) -> Result<Self, ServeError> {
        let token = Self::default();
        token.renew(file)?;
        Ok(token)
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// As for [`Token::read`]; the old token then stays.
    pub fn renew(&self, file: Option<&Path>) -> Result<(), ServeError> {
        let hash = file.map(hash_of).transpose()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hash;
        Ok(())
    }

    /// Checks the header of a request.
    ///
    /// # Errors
    /// 401 if a token is required and the request bears none or another one.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(expected) = *self.0.read().unwrap_or_else(PoisonError::into_inner) else {
            return Ok(());
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .map(|value| value.as_bytes());
        let given = given.and_then(|value| {
            let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
        });
        match given.is_some_and(|token| blake3::hash(token.trim_ascii()) == expected) {
            true => Ok(()),
            false => Err(Refusal::unauthorized()),
        }
    }
}

fn hash_of(file: &Path) -> Result<blake3::Hash, ServeError> {
    let error = |reason: String| ServeError::File {
        path: file.to_owned(),
        reason,
    };
    let text = std::fs::read(file).map_err(|source| error(format!("cannot be read: {source}")))?;
    let token = text
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    match token.len() >= MIN_BYTES {
        true => Ok(blake3::hash(token)),
        false => Err(error(format!(
            "the token in its first line has {} bytes, but must have at least {MIN_BYTES}",
            token.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_token_opens() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        let token = Token::read(Some(file.path())).unwrap();
        token.check(&headers("Bearer 0123456789abcdef")).unwrap();
        token.check(&headers("bearer 0123456789abcdef")).unwrap();
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert_eq!(
                token.check(&headers(wrong)).unwrap_err().status(),
                401,
                "{wrong}"
            );
        }
        assert!(token.check(&HeaderMap::new()).is_err());
        Token::default().check(&HeaderMap::new()).unwrap();
    }

    #[test]
    fn a_short_token_is_refused_and_the_old_one_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef").unwrap();
        let token = Token::read(Some(file.path())).unwrap();
        std::fs::write(file.path(), "short\n0123456789abcdef").unwrap();
        let error = token.renew(Some(file.path())).unwrap_err().to_string();
        assert!(
            error.contains("has 5 bytes, but must have at least 16"),
            "{error}"
        );
        token.check(&headers("Bearer 0123456789abcdef")).unwrap();
    }
}
