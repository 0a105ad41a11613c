import { afterAll } from "vitest";
import { stopProcesses } from "./processes.ts";

afterAll(stopProcesses);
