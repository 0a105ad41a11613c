import { PARSERS } from "./table.ts";
import { serve } from "./thread.ts";

serve(PARSERS);
