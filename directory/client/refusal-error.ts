import { DeniedError, PeerError, SecurityError, type SshnpError, UnavailableError } from "../../keys/errors.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { AskAgainError } from "./told-to-wait.ts";

/**
 * A refusal of the directory as the error to throw here. `detail` is the refusal's number: ms since 1970 for E_OFFLINE
 * (last seen), ms to wait for E_RATE and E_BUSY, else 0. Whoever knows more (the device's name, say) words it better.
 */
export function refusalError(code: RefusalCode, detail = 0): SshnpError {
  switch (code) {
    case "E_PROTOCOL":
      return new PeerError(code, "The directory does not understand this request.", { next: SAME_VERSION });
    case "E_VERSION":
      return new PeerError(code, "The directory speaks another version of the protocol.", { next: SAME_VERSION });
    case "E_CLOCK":
      return new UnavailableError(code, "The directory does not accept this machine's time.", {
        next: "Set it, then try again: timedatectl set-ntp true",
      });
    case "E_RATE":
      return new AskAgainError(code, "Too many attempts from this address, or statements on this name.", detail);
    case "E_BUSY":
      return new AskAgainError(code, "The directory is busy.", detail);
    case "E_STORAGE":
      return new UnavailableError(code, "The directory cannot store anything now.", {
        next: "Whoever runs it should look at its disk, or its database; nothing was changed.",
      });
    case "E_UNKNOWN_NAME":
      return new DeniedError(code, "The directory knows no such device.", {
        next: "Check the spelling of both names.",
      });
    case "E_NOT_ACTIVATED":
      return new DeniedError(code, "The name is not activated yet.", { next: "Run sshnp-keys activate for it first." });
    case "E_NOT_AUTHORIZED":
      return new DeniedError(code, "The directory does not know these keys under that name.", {
        next: "They may have been rotated away or revoked; the owner sees that in sshnp-keys list. Else check that the keys folder is the right one, and that the name was activated at this directory.",
      });
    case "E_OFFLINE":
      return new UnavailableError(code, `The device is offline${detail > 0 ? `, last seen ${utc(detail)}` : ""}.`, {
        next: "Wait for it with sshnp --wait, or check sshnpd on the device.",
      });
    case "E_NEVER_SEEN":
      return new UnavailableError(code, "The device is known, but its sshnpd has never connected.", {
        next: "Start sshnpd on the device.",
      });
    case "E_WAIT_EXPIRED":
      return new UnavailableError(code, "The device did not come back in the time given.", {
        next: "Give it longer with sshnp --wait=1h, or check sshnpd on the device.",
      });
    case "E_NO_RENDEZVOUS":
      return new UnavailableError(code, "The directory has no rendezvous that is up.", {
        next: "Whoever runs it should start one: sshnp-rendezvous run.",
      });
    case "E_DEVICE_REFUSED":
      return new DeniedError(code, "The directory says that the device refused.", {
        next: "Ask whoever runs the device to permit you with sshnpd -m.",
      });
    case "E_DEVICE_UNREADABLE":
      return new PeerError(code, "The directory says that the device could not read the request.", {
        next: "Try again; if it stays so, the device has other keys than the directory says.",
      });
    case "E_OWNER_KEY":
    case "E_MEMBER_KEY":
      return new SecurityError(code, "The directory has another key under that name.", {
        next: "Do not go on before you know why; ask whoever runs the directory.",
      });
    case "E_STATEMENT":
      return new SecurityError(
        code,
        "The directory has a newer statement than this machine, or this one has expired.",
        {
          next: "Check that the keys folder is the newest one of this member.",
        },
      );
    case "E_TICKET":
      return new SecurityError(code, "The ticket was refused.", { next: "Try again." });
    case "E_CRAM_WRONG":
      return new DeniedError(code, "The directory does not accept this activation secret for this name.", {
        next: "Check for a cut-off copy and for the right name; a new one comes from `sshnp-directory name add`.",
      });
    case "E_CRAM_USED":
      return new DeniedError(code, "The secret was used already, with other keys.", {
        next: "One more machine of that name? Its owner lets it in: sshnp-keys otp. If the first use was not yours, tell whoever runs the directory at once.",
      });
    case "E_MEMBER_TAKEN":
      return new DeniedError(code, "That member exists already, with other keys.", {
        next: "Choose another name for it.",
      });
    case "E_REPLACED":
      return new DeniedError(code, "Another sshnpd with the same key has taken over.", {
        next: "Run it on one machine only; a copied machine needs keys of its own.",
      });
    case "E_NO_SSHD":
      return new UnavailableError(code, "The directory says that nothing answers on the device's SSH port.", {
        next: "On the device: systemctl start ssh",
      });
    case "E_LOG":
      return new SecurityError(code, "The directory refuses, and says that its own log does not hold.", {
        next: "Believe nothing new of this directory until whoever runs it has said why.",
      });
    case "E_WITNESS":
      return new SecurityError(code, "The directory says that the device misses witnesses of the directory's log.", {
        next: "Set the device's clock if it is ahead (timedatectl); else whoever runs the directory should see why its witnesses do not cosign.",
      });
    case "E_REVOKED":
      return new DeniedError(code, "This member, or the token that made it, was revoked by its owner.", {
        next: "Its owner can take that back: sshnp-keys unrevoke",
      });
    case "E_POLICY":
      return new DeniedError(code, "The policy of the device's owner does not permit that.", {
        next: "Ask the owner for a rule in the policy.",
      });
    case "E_PENDING":
      return new UnavailableError(code, "The enrolment waits for its owner.", {
        next: "The owner sees it with: sshnp-keys list",
      });
    case "E_TOKEN":
      return new DeniedError(code, "The token is used up, has expired, or is not for this member.", {
        next: "Its owner can make another one: sshnp-keys delegate",
      });
    case "E_INTERRUPTED":
      return new UnavailableError(code, "The request was withdrawn, or replaced by a newer one.", {
        next: "Try again.",
      });
  }
}

const SAME_VERSION =
  "Bring sshnp to the same version here and at the directory; both tell theirs: sshnp --version, sshnp-directory --version";

function utc(time: number): string {
  return Number.isNaN(new Date(time).getTime())
    ? "at an unknown time"
    : `${new Date(time).toISOString().slice(0, 19)}Z`;
}
