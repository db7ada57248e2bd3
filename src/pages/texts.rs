//! Every word that a visitor reads, one table for each language.
//!
//! No text has holes to fill in: values stand beside texts, so that no language has to bend its grammar around them.

mod english;

/// A language that the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
}

impl Language {
    /// The words of this language.
    pub fn texts(self) -> &'static Texts {
        match self {
            Self::English => &english::TEXTS,
        }
    }
}

/// The words of one language.
#[derive(Debug)]
pub struct Texts {
    /// The language tag (BCP 47), for `lang`.
    pub lang: &'static str,
    /// Before whom to ask, below every page.
    pub support: &'static str,
    /// The page with the list of providers.
    pub choose: ChooseTexts,
    /// The page that asks for an e-mail address.
    pub email: EmailTexts,
    /// The page that asks for the password at the support desk.
    pub claim: ClaimTexts,
    /// The page on the way to a provider.
    pub go_on: GoOnTexts,
    /// The pages around a kept form.
    pub kept_form: KeptFormTexts,
    /// The page that waits for another tab.
    pub other_tab: OtherTabTexts,
    /// Signing in beside a page of the portal.
    pub in_page: InPageTexts,
    /// The page on the way to the site itself.
    pub hand_over: HandOverTexts,
    /// The page before signing out.
    pub sign_out: SignOutTexts,
    /// The page after signing out.
    pub signed_out: SignedOutTexts,
    /// The page after a test sign-in.
    pub tried: TriedTexts,
    /// What all refusals have in common.
    pub refusal: RefusalFrameTexts,
    /// What each refusal says.
    pub explain: fn(Explanation) -> RefusalTexts,
}

/// The page with the list of providers.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct ChooseTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub providers: &'static str,
}

/// The page that asks for an e-mail address.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct EmailTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub button: &'static str,
    pub not_an_address: &'static str,
    pub no_provider: &'static str,
}

/// The page that asks for the password at the support desk.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct ClaimTexts {
    pub title: &'static str,
    pub title_stale: &'static str,
    pub lead: &'static str,
    pub lead_stale: &'static str,
    pub first: &'static str,
    pub mail: &'static str,
    pub mail_button: &'static str,
    pub mail_again: &'static str,
    pub mailed: &'static str,
    pub not_mailed: &'static str,
    pub too_many_mails: &'static str,
    pub second: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub button: &'static str,
    pub wrong: &'static str,
    pub too_many_tries: &'static str,
    pub no_password: &'static str,
    pub why: &'static str,
}

/// The page on the way to a provider.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct GoOnTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub link: &'static str,
}

/// The page on the way to the site itself.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct HandOverTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub advice: &'static str,
    pub link: &'static str,
}

/// The pages around a kept form.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct KeptFormTexts {
    pub waits_title: &'static str,
    pub waits_lead: &'static str,
    pub waits_advice: &'static str,
    pub sign_in: &'static str,
    pub send_title: &'static str,
    pub send_lead: &'static str,
    pub ask_title: &'static str,
    pub ask_lead: &'static str,
    pub kept_at: &'static str,
    pub kept_until: &'static str,
    pub send: &'static str,
    pub drop: &'static str,
}

/// The page that waits for another tab.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct OtherTabTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub advice: &'static str,
    pub here: &'static str,
}

/// Signing in beside a page of the portal: what the script in it says, and the last page of the small window.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct InPageTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub button: &'static str,
    pub later: &'static str,
    pub another: &'static str,
    pub reload: &'static str,
    pub back_title: &'static str,
    pub back_lead: &'static str,
}

/// The page before signing out.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct SignOutTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub signed_in_as: &'static str,
    pub button: &'static str,
    pub stay: &'static str,
}

/// The page after signing out.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct SignedOutTexts {
    pub title: &'static str,
    pub ended: &'static str,
    pub ended_partly: &'static str,
    pub may_continue: &'static str,
    pub link: &'static str,
}

/// The page after a test sign-in.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct TriedTexts {
    pub title: &'static str,
    pub sentence: &'static str,
    pub advice: &'static str,
}

/// What all refusals have in common.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name says which part of the page it is")]
pub struct RefusalFrameTexts {
    pub contact: &'static str,
    pub reference: &'static str,
    pub later: &'static str,
    pub retry: &'static str,
    pub another_account: &'static str,
    pub start: &'static str,
    pub password: &'static str,
    pub sign_in_beside: &'static str,
    pub own_address: &'static str,
    pub the_site: &'static str,
}

/// What one refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalTexts {
    /// A few words, as the heading.
    pub title: &'static str,
    /// What happened, in one plain sentence: also the `message` of the JSON.
    pub sentence: &'static str,
    /// What the visitor can do about it.
    pub advice: &'static str,
}

macro_rules! explanations {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What a refusal tells the visitor. Finer and coarser reasons, for logs and metrics, are the refusal's own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Explanation {
            $($(#[$doc])* $name,)+
        }

        impl Explanation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

explanations! {
    /// The identity is proven, and this portal is not for it.
    NotAdmitted,
    /// The operator blocked this person.
    Blocked,
    /// The provider gave no e-mail address, or one that nobody confirmed.
    EmailUnusable,
    /// The identity provider did not answer.
    ProviderUnreachable,
    /// What came back from the provider did not hold.
    SignInNotCompleted,
    /// The visitor or the provider called the sign-in off.
    SignInDeclined,
    /// Too many sign-ins in a row: stopped.
    SignInLoop,
    /// A message about signing out cannot be used.
    LogoutNotDone,
    /// The browser keeps no cookies.
    CookiesNeeded,
    /// Nobody is signed in, and the asker is a script.
    SignInNeeded,
    /// What was sent is too large to be kept until the visitor has signed in.
    FormTooLarge,
    /// What was sent cannot be kept until the visitor has signed in.
    FormNotKept,
    /// What was kept is not there any more.
    FormGone,
    /// What was kept is somebody else's.
    FormOfAnother,
    /// What was kept could neither be sent nor kept any longer.
    FormLost,
    /// The customer session: nobody of that address is a customer, and none may be made.
    CustomerUnknown,
    /// The customer session: the account belongs to an agent.
    AccountIsLicensed,
    /// The customer session: the account belongs to an administrator.
    AccountIsAdministrator,
    /// The customer session: the account lives in a directory that cannot be changed.
    AccountIsReadOnly,
    /// The customer session: the account is deactivated.
    AccountIsInactive,
    /// The customer session: several accounts fit.
    AccountIsAmbiguous,
    /// The customer session: the address belongs to an Atlassian account.
    AccountIsAtlassian,
    /// The customer session: the account of this address is somebody else's.
    AccountBelongsToAnother,
    /// The customer session: the identity has another address than before.
    EmailChanged,
    /// The customer session: somebody else's was opened, and closed again.
    AccountMismatch,
    /// The customer session: the login was refused.
    CustomerLoginRefused,
    /// The customer session: the customer has to give their password first.
    PasswordNeeded,
    /// The customer session: the login asks for a CAPTCHA or a code.
    CustomerLoginChallenged,
    /// The customer session: the gateway's own credentials were refused.
    ServiceAccessRefused,
    /// The customer session: the upstream has too much to do.
    CustomerServiceBusy,
    /// The customer session: the upstream did not answer.
    CustomerServiceUnreachable,
    /// People go on at the site itself, and the request cannot be taken there.
    ServedElsewhere,
    /// The customer session ended, and the request could not be repeated.
    RequestNotSent,
    /// The upstream cannot be reached.
    UpstreamUnreachable,
    /// The upstream is given no more requests now.
    UpstreamBusy,
    /// The upstream took too long.
    UpstreamSlow,
    /// The upstream broke off, or spoke nonsense.
    UpstreamBroken,
    /// The request is malformed or ambiguous.
    BadRequest,
    /// The request took too long to arrive.
    RequestTooSlow,
    /// The body is too large.
    TooLarge,
    /// The address is too long.
    AddressTooLong,
    /// The headers are too many or too long.
    TooManyHeaders,
    /// Too many requests in too short a time.
    TooManyRequests,
    /// The customer has made as many requests as they may.
    RequestLimit,
    /// The host is none of our portals.
    UnknownHost,
    /// The portal demands a certificate of its visitors.
    CertificateNeeded,
    /// There is no such page of ours.
    NotFound,
    /// Nobody may go there.
    NotAllowed,
    /// Only some people may go there.
    NotForYou,
    /// There is no sign-up, and there are no passwords.
    NoAccountsHere,
    /// There is no sign-up; the password at the support desk is chosen by mail, and given here once.
    PasswordByMail,
    /// There is no sign-up; the support desk itself has passwords.
    PasswordsElsewhere,
    /// This method is not for this place.
    MethodNotAllowed,
    /// A form or script of another site sent this.
    CrossSite,
    /// Sessions cannot be read or written.
    StoreUnavailable,
    /// The gateway is stopping.
    ShuttingDown,
    /// A fault of ours.
    InternalError,
}

impl Explanation {
    /// What it says, in `language`.
    pub fn texts(self, language: Language) -> RefusalTexts {
        (language.texts().explain)(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_explanation_has_words_of_its_own() {
        let said: Vec<RefusalTexts> = Explanation::ALL.iter().map(|e| e.texts(Language::English)).collect();
        let sentences: HashSet<&str> = said.iter().map(|t| t.sentence).collect();
        assert_eq!(sentences.len(), Explanation::ALL.len());
        for texts in said {
            assert!(!texts.title.is_empty() && !texts.title.ends_with('.'), "{}", texts.title);
            for prose in [texts.sentence, texts.advice] {
                assert!(prose.ends_with('.') && !prose.contains("  "), "{prose}");
                assert!(prose.chars().all(|c| !c.is_control()), "{prose}");
            }
        }
    }
}
