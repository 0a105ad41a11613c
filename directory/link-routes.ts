/** Where a device opens its link; at the second, one whose line is paid by what it carries, to be pinged less often. */
export const LINK = "/v1/link";
export const METERED_LINK = "/v1/link?metered";
