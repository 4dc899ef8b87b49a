//! Where secret values come from.

use gds_vault::{Credential, ErrorKind, SecretString};

use crate::support::{CANARY, assert_no_canary};

async fn of_file(content: &[u8]) -> Result<SecretString, gds_vault::Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let result = Credential::File(file.path().to_owned()).read().await;
    if let Err(error) = &result {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
    result
}

#[tokio::test]
async fn files_are_trimmed() {
    for content in ["token", "token\n", "  token\r\n\n"] {
        assert_eq!(of_file(content.as_bytes()).await.unwrap().expose(), "token");
    }
    let long = "x".repeat(64 << 10);
    assert_eq!(of_file(long.as_bytes()).await.unwrap().len(), long.len());
}

#[tokio::test]
async fn files_that_cannot_be_credentials_are_named() {
    let long = "x".repeat((64 << 10) + 1);
    for (content, said) in [
        (&b""[..], "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "not text"),
        (long.as_bytes(), "larger than 64 KiB"),
    ] {
        let error = of_file(content).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    for file in ["/nonexistent/token", "/"] {
        let error = Credential::File(file.into()).read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[tokio::test]
async fn values_are_trimmed_and_not_empty() {
    for text in ["token", " token\n"] {
        assert_eq!(Credential::Value(SecretString::from(text)).read().await.unwrap().expose(), "token");
    }
    let error = Credential::Value(SecretString::from(" ")).read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn they_print_nothing() {
    assert_no_canary(&format!("{:?}", Credential::from(SecretString::from(CANARY))));
    let mut content = CANARY.as_bytes().to_vec();
    content.push(0xff);
    assert_no_canary(&format!("{:?}", of_file(&content).await.unwrap_err()));
}
