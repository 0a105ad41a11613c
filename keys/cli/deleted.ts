/** The reason in the revocation of a member that is not to be shown any more. */
export const DELETED = "deleted";
