import { Client } from "pg";
import { LOCK_SPACE, TURN_LOCK } from "../../directory/postgres/migrations.ts";

/** The turn of all directories on a database, which none of them has meanwhile. */
export class HeldTurn implements AsyncDisposable {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async take(url: string): Promise<HeldTurn> {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query("SELECT pg_advisory_lock($1, $2)", [LOCK_SPACE, TURN_LOCK]);
    return new HeldTurn(client);
  }

  async end(): Promise<void> {
    await this.#client.query("SELECT pg_advisory_unlock_all()");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}
