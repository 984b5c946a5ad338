"""The annotated tree of vsr_kit/ in the README: one line a module. `python docs/make_tree.py` prints it.

A test compares it with the package, so a new module needs a line here, and a module that is gone loses its line.
"""

from pathlib import Path
from textwrap import indent

PACKAGE = Path(__file__).resolve().parent.parent / "vsr_kit"

LINES = """
paths                       shipped files, the reader's copy of the course, runs, the smoke switch
validation                  checks of settings and of text from outside
failures                    memory that ran out, numbers that overflowed
files                       atomic writing, JSON lines, parquet, SHA-256 seals
locks                       one writer a folder
rooms/                      boxes in metres
  geometry                  Box, Room, exact distances
  generator                 procedural rooms, and rooms with one thing changed
  furnished                 rooms as people furnish them, for samples and pages; not the study's
  arranging                 furniture put at walls, with space before it
  files                     VSI-Bench's released geometry, read
videos/                     clips
  rendering                 a room and a camera path become frames
  filming                   the camera's walk, and what each frame shows
  for_people                the same walk drawn larger for readers; no model sees it
  light                     the lamp, shadows and corners in it
  files                     mp4 written and read
  frame_limits              how many frames and pixels of a clip are shown, and the tokens they cost
questions/                  vsi-bench's ten question types
  types                     names, wordings, the two sets of rules
  geometric                 questions and true answers of eight types, from geometry
  held_out                  route planning and appearance order
  own_types                 add a question type of your own
  multi_step                four types of several steps, asked where they are named
  puzzles                   furniture in a row by rules, one solution
  wordings                  which type a typed question asks
prompts/                    what a model is asked, and how its answer is read
  templates                 vanilla, think and observe prompts
  frame_tags                a text before each pair of frames
  parsing                   parse_answer: the lenient reader
  candidates                which option or number a text names
  numbers                   numbers with units
  number_words              "twenty-one"
  wording                   phrases that decide whether a number is the answer
  markup                    Markdown, LaTeX and HTML removed
  mathematics               formulas read and compared
  judging                   math-verify asked, within a time
  judge_worker              the process that it runs in
data/                       rows and folders
  rows                      make_rows, reading, splitting
  checking                  the check that every row passes
  forms                     the same questions open and as a choice; what no rule can check left out
  clips                     clips on disk, found by their rows
  scans                     ScanNet's .sens files and folders of frames, read as clips
  frame_cache               decoded frames kept on disk
  pictures                  a picture as a clip of two frames
  picture_records           one record about a picture, taken apart by its layout
  picture_rows              Vision-R1's, Video-R1's, MathVista's, SAT's and CV-Bench's rows
  own_questions             a question typed by hand becomes a row
  vsi_100k                  VSI-100k's annotations, read
  sources                   VSI-Bench as the hub has it, and other files of questions
  benchmark                 VSI-Bench is a test set: what training leaves out
  archives                  archives of films, unpacked safely
  fetching                  VSI-Bench and VSI-100k from the hub
  datasets                  what `vsr build` writes
rewards/                    what a completion earns
  orders                    what an answer to a puzzle is worth, place by place
  terms                     every reward function; add one in EXTRA_REWARDS or NUMERIC_REWARDS
  detectors                 signs of reward hacking: counted, never paid
  cheats                    completions that earn without an answer
  trl_functions             rewards as TRL takes them
  hard                      Vision-R1's reward: format and answer, or nothing
  in_form                   CrossThink's reward: accuracy times format
  matched                   advantages matched to N(0, 1) by rank, task by task
  waste                     a penalty on outputs that reach their cap or repeat themselves
  mixed                     VLAA's reward: each row by the rule of its own answer
  consistency               GRPO-CARE's bonus: right answers that their chains make likely
models/                     Qwen2-VL checkpoints
  loading                   load_model: miniature, hub or folder; nf4, LoRA
  families                  Qwen2-VL, Qwen2.5-VL, Qwen3-VL: what differs
  processors                clips cut into patches without torchvision
  vision                    a clip is encoded here: frames, vision tower, video tokens
  feature_cache             each clip encoded once a run
  dequantized               4-bit weights on a CPU: read once, adapters merged for rollouts
  adapters                  LoRA adapters, loaded completely or refused
  checkpoint_files          nothing missing, nothing damaged
  new_checkpoint            a new Qwen2-VL of any size, with random weights
runs/                       run folders
  folder                    what a run writes
  reading                   the same, read strictly
  attempts                  starts, resumes, finishes
  identity                  hashes that must agree before a run is resumed
  checkpoints               a trainer's checkpoint, checked
  interrupts                Ctrl-C and SIGTERM
  stopping                  a run asked to stop from outside its process
  watching                  where a run stands, while it is written
  seeds                     which runs are seeds of one training
  provenance                packages, hardware, commit
sharing/                    shared prefixes are read once
  packing                   prompts and completions in one sequence, as a tree
  shared_cache              keys and values of a clip and of a prompt, held once
  attention                 attention over the tree, and over the shared cache
  prefill                   prompts read for evaluation
  rollouts                  one prefill for all rollouts of a prompt
  sampled_logps             log-probabilities of rollouts, taken while they are sampled
  scoring                   log-probabilities in one packed pass
  reference                 the same without sharing
  compare                   both ways side by side
  meter                     seconds and tokens by phase
generation                  generate: questions and clips go in, answers come out
losses                      advantages, GRPO's and DPO's loss in a few lines, equal to TRL's, which trains
kl                          KL estimators k1, k2, k3 and their gradients
evaluation/                 scores
  evaluate                  load questions, ask a model, record the answers
  predictions               predict and sample_group, nothing recorded
  draws                     many answers to one question, which can be stopped
  readings                  what two readers read in them
  taught                    what a model card says was taught, and what of a question is new
  shown_clips               what clips cost in tokens, and what of them is new to a model
  presets                   a published protocol as one word
  preflight                 every row and clip looked at before a model is loaded
  scorers                   VSI-Bench's score, by three readings of an answer
  small_samples             intervals of a few plain numbers
  intervals                 95 % intervals over rooms and seeds
  run_scores                a run folder's scores with their intervals
  baselines                 most frequent answer, wrong clip
  passk                     best of k
  puzzle_scores             the four measures of LR²Bench
  multi_label               SPARC's arithmetic: debias, rank, fuse, average precision
  presence                  how surely a model says that objects are there
  token_texts               tokens as text, and text as tokens
  token_measures            of each token: entropy, distance from the reference, grounding
  rationale_judge           how much likelier an answer is after a rationale
bridging/                   chains of thought written for rows, as Vision-R1 makes them
  chains                    the language of chains that compute: written and read
  description               what is in a room, as text
  reasoner                  a rule reasoner that never sees the clip
  rationales                answers rewritten into rationales, and mixtures of both
  quality                   are places right, is arithmetic right, does the answer follow?
  stated                    what a chain concludes, and whether its answer agrees
  pipeline                  bridge: pseudo-CoT, description, chain, filter, resumable
  stage_prompts             what the writers of the three stages are asked
  asking                    what a writer is asked, and what it wrote
  writers                   what a writer is; rules, the default
  endpoint                  any OpenAI-compatible server
  local                     a model on this machine
  answer_cache              answers on disk: nothing is asked twice
  costs                     an estimate before, a budget that is kept
  filters                   the rules by which chains are dropped
  stage_files               journals of the stages
training/                   grpo, sft and dpo by trl
  run                       train: the one call
  methods                   GRPO, SFT, DPO
  profiles                  settings: mini, t4, a100, paper
  machine                   this machine, and the profile that it can hold
  spending                  minutes and memory of a notebook's parts
  launching                 several processes: launch configurations, a step divided
  shapes                    a model's sizes from its configuration
  memory                    what a step holds in memory, predicted
  asking_memory             what an evaluation will hold in memory
  knobs                     what each setting costs, and what to turn down
  out_of_memory             the same said where memory ran out
  joints                    GRPO's joints: advantages, chosen rows, dropped groups, entropy bonus, stages
  grpo_trainer              TRL's GRPO trainer, taught to see video
  mismatch                  rollouts against the pass that trains on them, logged
  joint_trainer             the same with joints
  entropy_bounds            GRPO whose entropy is held between two bounds
  answer_likelihood         how likely the reference finds an answer after its chain
  care                      GRPO-CARE as a method
  stages                    settings that switch at a step inside one run
  references                the KL term's reference: base, frozen adapter, moving mean
  phases                    a recipe's whole training, part after part
  background                the one call in a thread, with a handle that stops it
  starting                  a training that starts from an adapter, or trains all of the language model
  supervised_trainers       the same for SFT and DPO; preference pairs
  own_rollouts              trainers on rollouts of their own: short right chains, best against worst
  video_mixin               clips, features and batches for both
  callbacks                 time limits, stops, broken numbers
  token_records             tokens of a few rollouts, recorded while training
  collapse                  collapse found in a reward's curve
  resuming                  may a run be gone on with, and from which step
retrieval/                  which room does a description mean?
  queries                   descriptions and thoughts out of rows; bags of words as a control
  embedding                 the end token's hidden state; InfoNCE; recall
  method                    what training.train takes
  retrieval_trainer         both losses, recall at the end
claims/                     the form of a claim
  rules                     a verdict's rule: gain, no_gain, most_runs, ...
  measures                  from a study's answers to named findings
  chain_measures            does thinking pay, is longer worse, what does a knob do to it
  training_measures         numbers read from logs, the best of several tries
  factor_measures           what each factor of a grid of variants adds
  level_measures            how far a training reaches; do answers agree with chains
  recipe                    Variant, Condition, Recipe
recipes/                    one file a paper; add() for your own
  filmed                    rooms filmed as the study's, and questions about them
  vsgrpo_table              vsGRPO's results as printed
  vsgrpo                    runs and claims of vsGRPO
  vision_r1                 runs, claims and tables of Vision-R1
  ptst                      stages whose cap grows, and the phases of vsr train --recipe
  kit_questions             what the papers do not test
  kl_elsewhere              what a KL term keeps, ten seeds
  crossthink                questions open and as choices, blended
  mammoth_vl                answers rewritten into rationales, judged, mixed
  nvlm                      frame tags for order and direction, right, shuffled and none
  o1_embedder               rooms found by descriptions, with and without a thought
  mm_eureka                 an online filter on group accuracy
  srpo                      solved questions leave the training
  openvlthinker_v2          advantages matched by task, entropy bounded from both sides
  t1                        samples, temperature and entropy bonus on half a grid; thinking budgets
  all_roads                 DPO, online DPO and GRPO on one word and on whole orders
  openvlthinker             a loop: SFT on own short right chains, GRPO medium then hard
  levels                    question sets at a distance from training
  seed_bench_r1             GRPO against SFT at three levels, GRPO-CARE's bonus
  vlaa                      SFT on verbose chains, then GRPO, against GRPO alone
  shifts                    what SFT and GRPO lose away from training; RL after SFT
  lr2bench                  constraint puzzles; exact match against partial credit
  sparc                     which objects are there, from many prompts' scores
inspection/                 what models wrote, to be looked through
  outcomes                  right, partly right, wrong, unread; what a training changed
  columns                   rows brought into one form
  table                     completions with facets, a filter, groups
  tokens                    what a training recorded of tokens, found for rows
  sources                   run folders, TRL's completions, other harnesses' samples
publishing/                 what a run becomes for others
  origin                    what an adapter was trained on
  card                      model cards out of run folders
  merging                   base and adapter as one checkpoint
  hub                       an adapter and its card pushed
  formats                   answers as lmms-eval and VLMEvalKit keep theirs
  sides                     two scores' answers and settings, paired
  gap                       what each difference between two scores is worth
diagnosis/                  what `vsr doctor` says, before and after a long run
  rules                     what is checked, by which thresholds and why
  findings                  finding, evidence, remedy
  environment               packages, device, disk, threads
  model                     parity, the clip in each pass, template, answers, rewards
  probe                     one step of GRPO that is watched
  run_folder                what a training's folder tells
  adapter_files             has an adapter moved?
plots/                      the figures of the notebooks
  rooms                     floor plans and clip strips
  large_frames              frames for people, with names, beside the model's
  scores                    scores with intervals, kinds of answers
  training                  training curves, one GRPO group
  curves                    a run's log as points over steps, tokens or seconds
  sketch                    curves drawn in milliseconds, while they grow
  overlay                   one metric of several trainings, seeds as bands
  knobs                     what came out at each setting of a knob
  comparisons               before and after, differences, costs
  steps                     one measure of the rollouts over the steps
  answer_marks              truth and answers drawn on the plan
  tables                    score tables, answers as they were written
  token_colours             tokens coloured by a number of each
  draws                     how answers to one question are distributed
  sharing                   packed trees, tokens saved
  canvas                    the empty figure, and what a cell displays
  style                     colours and names
  svg                       plotly figures as still SVG
  marks                     the shapes in them
widgets/                    clickable, for notebooks
  player                    clip beside floor plan
  knob                      a slider over settings that were run
  inspector                 several models' answers to one question
  token_colours             the control that colours a browser's rollouts
  browser                   from a curve to a step, to a question, to its rollouts
  guesses                   a guess asked for before a result is shown
  answer_sources            kept answers, models, runs and checkpoints that it compares
  playground                questions of one's own, asked
  room_choice               controls that choose a room or a video
  view                      keys stay in a widget
  live                      curves that grow
  monitor                   a run watched from its folder, also another process's
  compare                   several runs over each other, seeds as bands
  stop                      a button that ends a training after its step
exercises/                  the course's exercises, checked
  course                    one check an exercise
  recipe_cases              the same for exercises about recipes
  cases                     how a check is made
miniature/                  how the shipped model was made
  recipe                    its numbers
  training                  all stages, from rooms to a checkpoint
  stages                    the loop of a stage
  lessons                   its lessons, as text
  sight                     the vision tower's lessons
  batches                   many lessons about one clip
  cold_start                from the miniature to one whose chains compute
  text_lessons              the cold start's lessons without a clip
  copying                   attention is shown what to copy
  folder                    its work folder
study/                      the study: runs, answers, verdicts
  study                     Study: everything a study folder can be asked
  runner                    `vsr reproduce`
  training_runs             one run: train, keep, ask
  question_sets             questions by name
  object_scores             SPARC's scores about the test rooms, measured and kept
  conditions                who was asked what, with which clip
  answers                   kept answers, read
  comparisons               variants compared
  evidence                  what measures read
  judge                     a claim's rule applied
  reach                     the model and rooms behind a verdict
  citations                 three examples of every verdict
  summary                   tables of the README and of docs/
  systems                   the published systems: mechanism, KL term, verdicts, differences
  real_rooms                base and GRPO on released geometry
  controls                  what might stop the gain there
  travel                    what the controls showed
  labels                    the cost of centre-to-centre labels
  chains                    chains of thought against the room
  thinking                  length, thinking words and checked chains, by variant
  reward_analysis           zero-variance groups, constant answers
  staleness                 whether earlier results still count
  acceptance                whether a new miniature may ship
  cold_start_acceptance     the same for a cold start
pages/                      html without a network
  site                      the course as a site
  html                      a notebook as a page
  report                    a page about runs
  filling                   templates filled, everything escaped
  browser                   the rollout browser as one file
  packing                   rollouts as a page holds them
  rooms                     plans and clips of a page's rooms
  gallery                   rollouts and answers of the shipped study
  verdicts                  every verdict with cited answers
  furnished                 rooms as people furnish them, plan and large frame of each kind
  moving_picture            a walk, questions and two models' answers as one GIF
  cited                     the same and cited rollouts in notebooks
  landing                   what the site's index opens with
cli/                        the command vsr
  course                    run, course, lab, test
  data                      build, score
  models                    eval, train, report
  evaluating                the work of `vsr eval`
  fetch                     fetch
  held_out                  what `vsr train` leaves out
  pretraining               pretrain
  preflight                 preflight
  clips                     what is said of clips before a model is loaded
  planning                  plan
  flags                     options that commands share
  loading                   the model that eval and ask load
  training                  the work of `vsr train`
  asking                    ask
  bridging                  bridge
  recipes                   the work of `vsr train --recipe`
  study                     claims, reproduce
  resume                    --resume
  stopping                  stop
  publishing                merge, push, export, explain-gap
  doctor                    doctor
  terminal                  control characters escaped
"""


def modules() -> set[str]:
    """The modules and packages there are, as the tree names them; a package ends with a slash."""
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    names = {"/".join(path.with_suffix("").parts) for path in files} - {"__init__"}
    names = {name.replace("/__init__", "/") for name in names}
    return {name for name in names if not name.endswith("__main__")}


def named() -> set[str]:
    """The modules and packages that the tree has a line for."""
    found, package = set(), ""
    for line in LINES.strip().split("\n"):
        name = line.split()[0]
        package = package if line.startswith("  ") else name if name.endswith("/") else ""
        found.add(name if name.endswith("/") else package + name)
    return found


def tree() -> str:
    """The tree as a code block.

    Raises:
        ValueError: a module without a line, or a line without its module.
    """
    if wrong := sorted(modules() ^ named()):
        raise ValueError(f"docs/make_tree.py: give {', '.join(wrong)} a line, or take the line out")
    return f"```\nvsr_kit/\n{indent(LINES.strip(), '  ')}\n```"


if __name__ == "__main__":
    print(tree())
