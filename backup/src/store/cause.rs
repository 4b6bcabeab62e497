use std::error::Error;
use std::fmt;

/// An error of the store's client, in few words: its own repeat their causes, and have whole answers of the service.
#[derive(Debug)]
pub struct Cause(pub object_store::Error);

/// Some services write a page of HTML.
const CHARS_MAX: usize = 300;

impl From<object_store::Error> for Cause {
    fn from(error: object_store::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut innermost: &dyn Error = &self.0;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        let innermost = innermost.to_string();
        if innermost.contains("URL scheme is not allowed") {
            return f.write_str("it is plain HTTP: use https, or set --store-option aws_allow_http=true");
        }
        if innermost.contains("InvalidContentType") {
            return f.write_str("what answers speaks no TLS: use http:// in the store's endpoint");
        }
        let words = innermost.strip_prefix("Server returned non-2xx status code: ").unwrap_or(&innermost);
        let (status, answer) = words.split_once("<?xml").or_else(|| words.split_once("<Error>")).unwrap_or((words, ""));
        write!(f, "{}", one_line(status.trim_end_matches([' ', ':'])))?;
        let code = element(answer, "Code");
        if let Some(code) = code {
            write!(f, ", {}", one_line(code))?;
        }
        if let Some(message) = element(answer, "Message") {
            write!(f, ": {}", one_line(message.trim_end_matches('.')))?;
        }
        match code {
            Some("NoSuchBucket") => f.write_str(" (make it, or correct the bucket that the store names)"),
            Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken") => {
                f.write_str(" (correct the credentials' Secret)")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Its text has its causes.
impl Error for Cause {}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text)
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_services_answer_its_status_code_and_message_are_told() {
        let said = "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error>\
            <Code>NoSuchBucket</Code><Message>The specified bucket does not exist.</Message><HostId>x</HostId></Error>";
        let cause = Cause(object_store::Error::Generic { store: "S3", source: said.into() });
        assert_eq!(
            cause.to_string(),
            "404 Not Found, NoSuchBucket: The specified bucket does not exist (make it, or correct the bucket that the store names)"
        );
    }

    #[test]
    fn anything_else_is_told_in_one_line() {
        let said = format!("Connection refused\n{}", "x".repeat(1000));
        let words = Cause(object_store::Error::Generic { store: "S3", source: said.into() }).to_string();
        assert!(words.starts_with("Connection refused x") && words.chars().count() == CHARS_MAX);
    }
}
