//! Which of the server's refusals pass by themselves, by SQLSTATE
//! (PostgreSQL manual, appendix A "PostgreSQL Error Codes").

use crate::backoff::Failure;

const INVALID_PASSWORD: &str = "28P01";
const INVALID_AUTHORIZATION_SPECIFICATION: &str = "28000";
const INVALID_CATALOG_NAME: &str = "3D000";
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Whether a refusal with this code, before any success, means that the configuration is wrong.
///
/// Everything else passes; among it 57P01 (terminated by an administrator), 57P03 (starting up or
/// shutting down), 53300 (too many connections) and 25006 (a standby).
pub(crate) fn is_permanent(code: &str) -> bool {
    matches!(code, INVALID_PASSWORD | INVALID_AUTHORIZATION_SPECIFICATION | INVALID_CATALOG_NAME)
}

/// How patiently to try again after a refusal with this code.
pub(crate) fn failure(code: &str) -> Failure {
    if is_permanent(code) || code == TOO_MANY_CONNECTIONS {
        Failure::Refused
    } else {
        Failure::Away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_are_password_role_and_database() {
        for code in ["28P01", "28000", "3D000"] {
            assert!(is_permanent(code), "{code}");
            assert_eq!(failure(code), Failure::Refused, "{code}");
        }
    }

    #[test]
    fn termination_start_up_crowds_and_standbys_pass() {
        for code in ["57P01", "57P02", "57P03", "57P05", "53300", "25006", "XX000", "", "28p01"] {
            assert!(!is_permanent(code), "{code}");
        }
    }

    #[test]
    fn a_restart_is_tried_quickly_and_a_crowd_slowly() {
        for code in ["57P01", "57P02", "57P03", "25006"] {
            assert_eq!(failure(code), Failure::Away, "{code}");
        }
        assert_eq!(failure("53300"), Failure::Refused);
    }
}
