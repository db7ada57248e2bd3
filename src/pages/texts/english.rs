//! English.

use super::{
    ChooseTexts, ClaimTexts, EmailTexts, Explanation, GoOnTexts, HandOverTexts, InPageTexts, KeptFormTexts,
    OtherTabTexts, RefusalFrameTexts, RefusalTexts, SignOutTexts, SignedOutTexts, Texts, TriedTexts,
};

pub(super) static TEXTS: Texts = Texts {
    lang: "en",
    support: "Do you need help?",
    choose: ChooseTexts { title: "Sign in", lead: "Where do you have your account?", providers: "Ways to sign in" },
    email: EmailTexts {
        title: "Sign in",
        lead: "Enter your work e-mail address. We will take you to your organisation’s sign-in.",
        label: "E-mail address",
        hint: "For example name@company.com",
        button: "Continue",
        not_an_address: "This does not look like an e-mail address. Please check it.",
        no_provider: "We know no sign-in for this address. Please check it, or use the address of your organisation.",
    },
    claim: ClaimTexts {
        title: "One more step, only once",
        title_stale: "Your new password is needed",
        lead: "You are signed in. The support desk behind this portal also wants a password of its own, which only you can choose.",
        lead_stale: "You are signed in, but the support desk no longer takes the password that you have given here.",
        first: "1. Choose a password at the support desk",
        mail: "The support desk sends you a mail with a link for that. It goes to",
        mail_button: "Send me the mail",
        mail_again: "Send it once more",
        mailed: "The mail is on its way. It can take some minutes; look among unwanted mail, too. Choose a password there, then \
                 come back to this page.",
        not_mailed: "The support desk does not send the mail right now. Please wait a moment and try again.",
        too_many_mails: "The mail was asked for several times already.",
        second: "2. Enter it here",
        label: "Password at the support desk",
        hint: "Not the one of your organisation. If you have one already, you need no mail.",
        button: "Continue",
        wrong: "The support desk does not take this password. Check it, or choose a new one by the mail.",
        too_many_tries: "Too many passwords were wrong. Choose a new one by the mail: then it works at once.",
        no_password: "This cannot be a password. Please check it.",
        why: "We keep it encrypted, and use it for nothing but to open the support desk for you. Use it nowhere else.",
    },
    go_on: GoOnTexts {
        title: "One moment",
        lead: "We are taking you to your organisation’s sign-in.",
        link: "Continue",
    },
    kept_form: KeptFormTexts {
        waits_title: "Sign in to send what you wrote",
        waits_lead: "Your sign-in had ended when you sent it. We keep what you wrote meanwhile.",
        waits_advice: "We are taking you to sign in. It is sent as soon as you are back.",
        sign_in: "Sign in",
        send_title: "Sending what you wrote",
        send_lead: "You are signed in again, and what you wrote before is sent now.",
        ask_title: "Send what was waiting?",
        ask_lead: "You are signed in again. A page of this portal had something to send when your sign-in had ended. It was kept, and not sent yet.",
        kept_at: "Kept since",
        kept_until: "Kept until",
        send: "Send it now",
        drop: "Do not send it",
    },
    other_tab: OtherTabTexts {
        title: "You are signing in in another tab",
        lead: "This page opens by itself as soon as you are signed in there.",
        advice: "If you have closed the other tab, sign in here.",
        here: "Sign in here",
    },
    in_page: InPageTexts {
        title: "Please sign in again",
        lead: "Your sign-in has ended. Sign in in a small window: this page stays as it is, and goes on where it was.",
        button: "Sign in",
        later: "Not now",
        another: "You have signed in as somebody else. Nothing of this page was sent in their name. Load it again to go on.",
        reload: "Load the page again",
        back_title: "You are signed in",
        back_lead: "You can close this window and go on in the page behind it.",
    },
    hand_over: HandOverTexts {
        title: "You go on at the support desk",
        lead: "You are signed in here. Your requests are at this address:",
        advice: "You may be asked there to sign in once more.",
        link: "Continue",
    },
    sign_out: SignOutTexts {
        title: "Sign out?",
        lead: "You will have to sign in again to see your requests.",
        signed_in_as: "Signed in as",
        button: "Sign out",
        stay: "Stay signed in",
    },
    signed_out: SignedOutTexts {
        title: "You are signed out",
        ended: "Your session has ended. It is safe to close this page.",
        ended_partly: "Your session here has ended, and your organisation has signed you out. But some other application \
                       did not confirm it: on a shared computer, close the browser.",
        may_continue: "Your session here has ended. You may still be signed in at your organisation: \
                       on a shared computer, sign out there too, or close the browser.",
        link: "Sign in again",
    },
    tried: TriedTexts {
        title: "The test is over",
        sentence: "This was a test of the sign-in. You were not signed in, and you may close this window.",
        advice: "Whoever asked you to test can see the result on their own page.",
    },
    refusal: RefusalFrameTexts {
        contact: "Whom to ask",
        reference: "Reference",
        later: "Try again after",
        retry: "Try again",
        another_account: "Sign in as somebody else",
        start: "Go to the start page",
        password: "Enter the password",
        sign_in_beside: "Sign in in a new tab",
        own_address: "The support desk’s own address:",
        the_site: "Go to the support desk",
    },
    explain,
};

fn explain(what: Explanation) -> RefusalTexts {
    use Explanation as E;
    let (title, sentence, advice) = match what {
        E::NotAdmitted => (
            "This portal is not open to you",
            "You are signed in, but your account may not use this portal.",
            "If you have another account, sign in with that one. Otherwise ask the people who run this portal for access.",
        ),
        E::Blocked => (
            "Your access is blocked",
            "Your account has been blocked from this portal.",
            "If you think that this is a mistake, ask the people who run this portal.",
        ),
        E::EmailUnusable => (
            "Your e-mail address is missing",
            "Your organisation’s sign-in gave us no confirmed e-mail address, and we know customers by theirs.",
            "Confirm your address at your organisation and sign in again, or ask its help desk.",
        ),
        E::ProviderUnreachable => (
            "Sign-in is not available right now",
            "Your organisation’s sign-in did not answer.",
            "Please wait a moment and try again. Whoever is signed in already is not affected.",
        ),
        E::SignInNotCompleted => (
            "Sign-in could not be completed",
            "What came back from your organisation’s sign-in could not be accepted.",
            "Please start again. If it happens again, ask for help and give the reference below.",
        ),
        E::SignInDeclined => (
            "You are not signed in",
            "The sign-in was cancelled, or your organisation did not allow it.",
            "Try again, or ask your organisation’s help desk whether you may use this portal.",
        ),
        E::SignInLoop => (
            "Sign-in keeps starting over",
            "You were signed in several times in a row without getting through, so we stopped.",
            "Your browser may be blocking our cookies, an extension may be changing them, or its clock may be wrong. Close other tabs of this site, then try again.",
        ),
        E::CookiesNeeded => (
            "Cookies are needed",
            "Your browser did not keep the cookie by which this portal knows you.",
            "Allow cookies for this site, then try again. Private windows and extensions can also stand in the way.",
        ),
        E::SignInNeeded => {
            ("Please sign in", "You are not signed in, or your session has ended.", "Sign in, then try again.")
        }
        E::FormTooLarge => (
            "Sign in before you send this",
            "Your sign-in has ended, and what you are sending is too large for us to keep meanwhile: nothing was sent.",
            "Sign in in a new tab. Then go back by your browser’s Back button, and send it again.",
        ),
        E::FormNotKept => (
            "Sign in before you send this",
            "Your sign-in has ended, and what you are sending could not be kept meanwhile: nothing was sent.",
            "Sign in in a new tab. Then go back by your browser’s Back button, and send it again.",
        ),
        E::FormGone => (
            "This is not waiting any more",
            "What you sent before was sent already, was dropped, or has waited for too long.",
            "Look whether it has arrived. If it has not, please write it once more.",
        ),
        E::FormOfAnother => (
            "What was waiting was dropped",
            "Somebody else wrote it in this browser, and you have signed in as another person: nothing of it was sent.",
            "If it is still needed, sign in as that person and write it once more.",
        ),
        E::FormLost => (
            "What was waiting is lost",
            "It could not be delivered, and then it could not be kept any longer. We are sorry: nothing of it was sent.",
            "Please write it once more. If the page that you wrote it in is still open, copy it from there.",
        ),
        E::CustomerUnknown => (
            "You are not a customer here yet",
            "You are signed in, but the support desk has no customer account for your e-mail address.",
            "Ask the people who run this portal to add you.",
        ),
        E::AccountIsLicensed => (
            "Your account belongs to the support team",
            "Your e-mail address belongs to a licensed user of the support desk, and this portal is for customers only.",
            "Use the support desk’s own address, or sign in with another account.",
        ),
        E::AccountIsAdministrator => (
            "Your account belongs to an administrator",
            "Your e-mail address belongs to an administrator of the support desk, and this portal never acts as one.",
            "Use the support desk’s own address, or sign in with another account.",
        ),
        E::AccountIsReadOnly => (
            "Your account is managed elsewhere",
            "Your customer account lives in a directory that this portal cannot open sessions for.",
            "Ask the people who run this portal how to sign in, and give the reference below.",
        ),
        E::AccountIsInactive => (
            "Your customer account is switched off",
            "The support desk has switched your customer account off.",
            "Ask the people who run this portal to switch it on again.",
        ),
        E::AccountIsAmbiguous => (
            "You have more than one account",
            "The support desk has several accounts with your e-mail address, and we cannot tell which one is yours.",
            "Ask the people who run this portal to put them in order, and give the reference below.",
        ),
        E::AccountIsAtlassian => (
            "You already have an Atlassian account",
            "Your e-mail address belongs to an Atlassian account, and this portal can only open sessions for portal customers.",
            "Open the support desk at its own address and sign in there with your Atlassian account, or ask the people who run \
             this portal for help.",
        ),
        E::AccountBelongsToAnother => (
            "This customer account belongs to another sign-in",
            "Somebody with your e-mail address has used this portal with another sign-in, and we keep their requests apart from yours.",
            "If you have changed how you sign in, ask the people who run this portal to hand the account over, and give the \
             reference below.",
        ),
        E::EmailChanged => (
            "Your e-mail address has changed",
            "You sign in with another e-mail address than before, and this portal does not move accounts by itself.",
            "Ask the people who run this portal to update your account, and give the reference below.",
        ),
        E::AccountMismatch => (
            "We could not make sure that it is you",
            "The support desk answered with an account that is not yours, so we closed the session.",
            "Please try again. If it happens again, ask for help and give the reference below.",
        ),
        E::CustomerLoginRefused => (
            "Your session could not be opened",
            "You are signed in, but the support desk did not let us open your customer session.",
            "Please try again. If it happens again, ask for help and give the reference below.",
        ),
        E::PasswordNeeded => (
            "Your password at the support desk is needed",
            "You are signed in, but the support desk wants a password that you have not given here yet, or not the new one.",
            "Enter it once. If you were sending something, it was not sent: go back to it afterwards with your browser’s \
             Back button, check what you wrote, and send it again.",
        ),
        E::CustomerLoginChallenged => (
            "Your session could not be opened",
            "You are signed in, but the support desk asks for a check that this portal cannot answer for you.",
            "Ask the people who run this portal to clear it, and give the reference below.",
        ),
        E::ServiceAccessRefused => (
            "This portal is not set up correctly",
            "You are signed in, but the support desk refused this portal’s own access.",
            "Please tell the people who run this portal, and give the reference below.",
        ),
        E::CustomerServiceBusy => (
            "The support desk is busy",
            "You are signed in, but the support desk has too much to do to open your session right now.",
            "Please wait a minute and try again.",
        ),
        E::CustomerServiceUnreachable => (
            "The support desk does not answer",
            "You are signed in, but the support desk could not be reached to open your session.",
            "Please wait a moment and try again.",
        ),
        E::ServedElsewhere => (
            "The support desk is at its own address",
            "What you do here is not passed on: you are signed in, and go on at the support desk itself.",
            "Open the start page: it leads you there.",
        ),
        E::RequestNotSent => (
            "Your request was not sent",
            "Your session at the support desk had to be opened again, and what you sent did not arrive there.",
            "Nothing is lost yet: reload this page and agree to send the form again, or go back to the form with your \
             browser’s Back button, check what you wrote, and send it once more.",
        ),
        E::UpstreamUnreachable => (
            "The portal cannot be reached",
            "The support desk behind this portal cannot be reached right now.",
            "Please wait a moment and try again.",
        ),
        E::UpstreamBusy => (
            "The portal is busy",
            "The support desk behind this portal has too much to do to take your request right now. Nothing was sent.",
            "Please wait a minute and try again.",
        ),
        E::UpstreamSlow => (
            "The portal takes too long",
            "The support desk behind this portal took too long to answer.",
            "Please wait a moment. If you sent something, look whether it arrived before you send it again.",
        ),
        E::UpstreamBroken => (
            "The portal gave no usable answer",
            "The support desk behind this portal broke off, or gave an answer that we could not read.",
            "Please try again. If you sent something, look whether it arrived before you send it again.",
        ),
        E::BadRequest => (
            "This request cannot be understood",
            "Your browser sent a request that is malformed or ambiguous.",
            "Check the address, or go to the start page.",
        ),
        E::RequestTooSlow => (
            "Your request took too long",
            "Your request did not arrive in time.",
            "Check your connection and try again.",
        ),
        E::TooLarge => (
            "This is too large",
            "What you sent is larger than this portal accepts.",
            "Go back and send smaller or fewer files.",
        ),
        E::AddressTooLong => (
            "This address is too long",
            "The address of this page is longer than this portal accepts.",
            "Check the address, or go to the start page.",
        ),
        E::TooManyHeaders => (
            "Your browser sends too much",
            "Your request carries more cookies or other headers than this portal accepts.",
            "Delete the cookies of this site and try again.",
        ),
        E::TooManyRequests => (
            "Too many requests",
            "Too many requests came from you or your network in a short time.",
            "Please wait a minute and try again.",
        ),
        E::RequestLimit => (
            "Not so many requests at once",
            "You have sent as many requests as this portal takes from one person in this time, so this one was not sent.",
            "Nothing is lost: go back to the form with your browser’s Back button, keep what you wrote, and send it again \
             later.",
        ),
        E::UnknownHost => (
            "There is no portal here",
            "This address does not belong to any portal that we know.",
            "Check the address for typing mistakes.",
        ),
        E::CertificateNeeded => (
            "A certificate is needed",
            "This portal asks for a certificate of yours, and your browser's connection came without one.",
            "Try again. If this page comes back, close the browser, open it anew, and choose your certificate when you are asked.",
        ),
        E::NotFound => (
            "This page does not exist",
            "There is no page at this address.",
            "Check the address, or go to the start page.",
        ),
        E::NotAllowed => (
            "This page is closed",
            "This part of the portal is open to nobody from here.",
            "Go to the start page to find what you need.",
        ),
        E::NotForYou => (
            "This part is not open to you",
            "You are signed in, but this part of the portal is for other people.",
            "If you have another account, sign in with that one. Otherwise ask the people who run this portal for access.",
        ),
        E::NoAccountsHere => (
            "You need no password here",
            "This portal has no accounts and no passwords of its own: you sign in with the account of your organisation.",
            "Go to the start page to sign in. If you forgot your password, or have no account, ask your organisation.",
        ),
        E::PasswordByMail => (
            "Passwords are not changed here",
            "You sign in with the account of your organisation; your password at the support desk, which it wants besides, is \
             chosen by the support desk’s mail.",
            "Go to the start page: if the support desk wants your password, you are asked for it once, and can have the mail \
             sent. If you cannot sign in, or have no account, ask your organisation.",
        ),
        E::PasswordsElsewhere => (
            "This page is at the support desk",
            "You sign in here with the account of your organisation; the support desk’s own accounts and passwords are at its own \
             address.",
            "Go to the start page: it leads you there once you have signed in.",
        ),
        E::MethodNotAllowed => (
            "This does not work here",
            "This address cannot be used in this way.",
            "Go to the start page and try from there.",
        ),
        E::LogoutNotDone => (
            "Signing out could not be completed",
            "A message from your organisation about signing out cannot be used, so nothing was changed.",
            "To sign out here, go to the start page and sign out there.",
        ),
        E::CrossSite => (
            "This came from another site",
            "Another web site tried to do this in your name, so we stopped it.",
            "If you wanted it, go to the start page and do it there.",
        ),
        E::StoreUnavailable => (
            "Sessions are not available right now",
            "We cannot read or keep your session right now.",
            "Please wait a moment and try again. If it lasts, ask for help and give the reference below.",
        ),
        E::ShuttingDown => {
            ("One moment, please", "This portal is just being restarted.", "Please wait a few seconds and try again.")
        }
        E::InternalError => (
            "Something went wrong",
            "A fault on our side kept us from answering.",
            "Please try again. If it happens again, ask for help and give the reference below.",
        ),
    };
    RefusalTexts { title, sentence, advice }
}
