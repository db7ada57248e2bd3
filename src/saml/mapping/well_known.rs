//! Names under which the usual identity providers send the usual things, in the order in which they are tried: AD FS,
//! Entra ID, Okta, Google, OneLogin, PingFederate, Keycloak, Shibboleth (eduPerson and LDAP object identifiers),
//! SimpleSAMLphp and LemonLDAP::NG.
//!
//! A user principal name is not among them: it looks like an e-mail address and need not be one.

/// The e-mail address.
pub const EMAIL: &[&str] = &[
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", // AD FS, Entra ID, Auth0, OneLogin
    "http://schemas.xmlsoap.org/claims/EmailAddress",                     // AD FS 1.x
    "urn:oid:0.9.2342.19200300.100.1.3",                                  // Shibboleth, Keycloak: mail
    "urn:oid:1.2.840.113549.1.9.1",                                       // Keycloak: email (PKCS #9)
    "urn:mace:dir:attribute-def:mail",                                    // older Shibboleth
    "email",                                                              // Okta, Google, Keycloak
    "mail",                                                               // SimpleSAMLphp, LemonLDAP::NG, PingFederate
    "Email",
    "emailAddress",
    "EmailAddress",
    "emailaddress",
    "User.email", // OneLogin
    "user.email",
];

/// The name to show.
pub const DISPLAY_NAME: &[&str] = &[
    "http://schemas.microsoft.com/identity/claims/displayname", // Entra ID
    "urn:oid:2.16.840.1.113730.3.1.241",                        // Shibboleth: displayName
    "urn:mace:dir:attribute-def:displayName",
    "displayName",
    "display_name",
    "DisplayName",
];

/// The given name.
pub const GIVEN_NAME: &[&str] = &[
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
    "urn:oid:2.5.4.42",
    "urn:mace:dir:attribute-def:givenName",
    "givenName",
    "firstName", // Okta
    "first_name",
    "FirstName",
    "User.FirstName", // OneLogin
];

/// The family name.
pub const FAMILY_NAME: &[&str] = &[
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
    "urn:oid:2.5.4.4",
    "urn:mace:dir:attribute-def:sn",
    "sn",
    "surname",
    "lastName", // Okta
    "last_name",
    "LastName",
    "User.LastName", // OneLogin
];

/// A name that is often, but not always, fit to show: tried last.
pub const COMMON_NAME: &[&str] = &[
    "urn:oid:2.5.4.3",
    "urn:mace:dir:attribute-def:cn",
    "cn",
    "name",
    "http://schemas.xmlsoap.org/claims/CommonName",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
];

/// The groups; the first name that is there gives them all.
pub const GROUPS: &[&str] = &[
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups", // Entra ID
    "http://schemas.xmlsoap.org/claims/Group",                        // AD FS
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",                               // Shibboleth: isMemberOf
    "groups",                                                         // Okta, Keycloak, Google
    "Groups",
    "group",
    "memberOf", // OneLogin, SimpleSAMLphp, PingFederate
    "isMemberOf",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role", // AD FS, Entra ID
    "Role",                                                         // Keycloak
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.1",                             // Shibboleth: eduPersonAffiliation
    "eduPersonAffiliation",
];
