//! A person with a real browser, in front of a real identity provider. Pictures of every page are kept as CI output, in
//! `screenshots` of cargo's target folder.

mod chromium;
mod cloud;
mod cloud_password;
mod forms;
mod journey;
mod looks;
mod saml;
mod simplesamlphp;
