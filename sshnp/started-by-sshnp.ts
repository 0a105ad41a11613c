/** The variable that every ssh has which sshnp starts, by which the block in ssh's configuration knows it. */
export const STARTED_BY_SSHNP = "SSHNP_STARTED";
