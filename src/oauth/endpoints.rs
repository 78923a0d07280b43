//! Where a provider is asked. From settings only, never from anything a browser sent.

use url::Url;

/// The addresses of one provider's authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthEndpoints {
    pub authorize: Url,
    pub token: Url,
    /// Absent where a provider has no revocation for applications like ours.
    pub revoke: Option<Url>,
}

impl OAuthEndpoints {
    /// Microsoft's endpoints below `login`, such as `https://login.microsoftonline.com`.
    ///
    /// Microsoft offers no revocation of one application's grant: disconnecting wipes our copy,
    /// and the coach removes the application in the account's own pages.
    pub fn microsoft(login: &Url, tenant: &str) -> Self {
        let below = |action: &str| {
            let mut url = login.clone();
            let base = login.path().trim_end_matches('/');
            url.set_path(&format!("{base}/{tenant}/oauth2/v2.0/{action}"));
            url.set_query(None);
            url.set_fragment(None);
            url
        };
        Self {
            authorize: below("authorize"),
            token: below("token"),
            revoke: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_goes_below_whatever_path_the_login_address_has() {
        for (login, token) in [
            (
                "https://login.microsoftonline.com",
                "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            ),
            (
                "http://127.0.0.1:4000/microsoft/",
                "http://127.0.0.1:4000/microsoft/common/oauth2/v2.0/token",
            ),
        ] {
            let login = login.parse().expect("an address");
            let endpoints = OAuthEndpoints::microsoft(&login, "common");
            assert_eq!(endpoints.token.as_str(), token);
            assert!(endpoints.revoke.is_none());
        }
    }
}
