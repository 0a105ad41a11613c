import type { MemberName, Name } from "../../../keys/names.ts";
import { hostName } from "../../../keys/names.ts";
import { printableJson } from "../../../keys/printable-json.ts";

/** What a connect took, each in ms: to the ticket and to the device's answer since the request, to the dialled and to the joined leg since the dial. */
export interface LegTimes {
  readonly ticket: number;
  readonly answer: number;
  readonly dialled: number;
  readonly joined: number;
}

interface Device {
  readonly name: Name;
  readonly member: MemberName;
}

/** Where a session came about: `http://host:port`, and the first address of the rendezvous. */
interface Places {
  readonly directory: string;
  readonly rendezvous: string;
}

/** The lines ahead of the round trips. */
export function legLines(
  { name, member }: Device,
  { directory, rendezvous }: Places,
  { ticket, answer, dialled, joined }: LegTimes,
): string {
  return [
    `${member} of ${name} answers.`,
    `directory   ${directory}: ticket after ${ms(ticket)}, the device's answer after ${ms(answer)}`,
    `rendezvous  ${rendezvous}: dialled in ${ms(dialled)}, joined with the device after ${ms(joined)}`,
    "",
  ].join("\n");
}

export function roundTripLine(number: number, roundTrip: number): string {
  return `${String(number).padStart(4)}  end to end  ${ms(roundTrip)}\n`;
}

/** Of at least one round trip. */
export function summaryLine(roundTrips: readonly number[]): string {
  const { least, mean, most } = summary(roundTrips);
  const trips = `${roundTrips.length} round trip${roundTrips.length === 1 ? "" : "s"}`;
  return `${trips}: least ${ms(least)}, mean ${ms(mean)}, most ${ms(most)}\n`;
}

export function pingJson(
  device: Device,
  { directory, rendezvous }: Places,
  { ticket, answer, dialled, joined }: LegTimes,
  roundTrips: readonly number[],
): string {
  const { least, mean, most } = summary(roundTrips);
  return printableJson({
    ...{ v: 1, name: device.name, device: device.member, host: hostName(device) },
    directory: { url: directory, ticketMs: rounded(ticket), answerMs: rounded(answer) },
    rendezvous: { address: rendezvous, dialledMs: rounded(dialled), joinedMs: rounded(joined) },
    roundTripsMs: roundTrips.map(rounded),
    ...{ leastMs: rounded(least), meanMs: rounded(mean), mostMs: rounded(most) },
  });
}

function summary(roundTrips: readonly number[]): {
  readonly least: number;
  readonly mean: number;
  readonly most: number;
} {
  const mean = roundTrips.reduce((sum, one) => sum + one, 0) / roundTrips.length;
  return { least: Math.min(...roundTrips), mean, most: Math.max(...roundTrips) };
}

function ms(time: number): string {
  return `${time.toFixed(1)} ms`;
}

/** To a thousandth of a ms. */
function rounded(time: number): number {
  return Math.round(time * 1000) / 1000;
}
