#!/usr/bin/env escript
%% Runs table.txt against Erlang's own supervisor and prints where it disagrees.
%% Needs Erlang/OTP 24 or newer (Debian's package erlang-base).
%% Usage: escript oracle.escript table.txt
-mode(compile).
-export([main/1, init/1]).

main([File]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Text} = file:read_file(File),
    Lines = [L || L <- string:split(unicode:characters_to_list(Text), "\n", all), L =/= [], hd(L) =/= $#],
    Verdicts = [row([string:trim(C) || C <- string:split(L, " | ", all)]) || L <- Lines],
    Wrong = length([wrong || wrong <- Verdicts]),
    io:format("OTP ~s: ~b rows, ~b disagree~n", [erlang:system_info(otp_release), length(Verdicts), Wrong]),
    halt(min(Wrong, 1)).

row([Rule, Strategy, Intensity, Auto, Children, Events, Story]) ->
    ets:new(bench, [named_table, public, ordered_set]),
    align(),
    put(clock, erlang:monotonic_time(millisecond)),
    put(late, false),
    Flags0 = #{strategy => list_to_atom(Strategy), auto_shutdown => list_to_atom(Auto)},
    Flags = case Intensity of
        "default" -> Flags0;
        _ ->
            [R, P] = string:split(Intensity, "/"),
            Flags0#{intensity => list_to_integer(R), period => list_to_integer(P)}
    end,
    Words = string:lexemes(Children, " "),
    Specs = [spec(N, W) || {N, W} <- lists:zip(lists:seq(0, length(Words) - 1), Words)],
    Parts = play(string:lexemes(Events, " "), {Flags, Specs}, undefined, []),
    ets:delete(bench),
    judge(get(late), [Rule, Strategy, Intensity, Auto, Children, Events, Story], Parts).

%% A row whose waits came out too long on a busy machine says nothing: once more.
judge(true, Row, _) -> row(Row);
judge(false, [Rule, _, _, _, _, _, Story], Parts) ->
    Told = lists:join(" / ", lists:reverse(Parts)),
    Expected = lists:join(" / ", [string:trim(X) || X <- string:split(Story, "/", all)]),
    case lists:flatten(Told) =:= lists:flatten(Expected) of
        true -> right;
        false ->
            io:format("~s~n  table:  ~s~n  Erlang: ~s~n", [Rule, Expected, Told]),
            wrong
    end.

%% OTP counts in whole seconds: start early in one, so that waits of whole seconds mean the same.
align() ->
    Into = erlang:monotonic_time(millisecond) - 1000 * erlang:monotonic_time(second),
    case Into of
        M when M < 200 -> ok;
        M -> timer:sleep(1005 - M), align()
    end.

spec(N, Word) ->
    Restart = case string:trim(Word, trailing, "*") of
        "perm" -> permanent;
        "tran" -> transient;
        "temp" -> temporary
    end,
    #{id => N, start => {erlang, apply, [fun() -> start(N) end, []]}, restart => Restart,
      significant => lists:suffix("*", Word)}.

start(N) ->
    case ets:lookup(bench, {broken, N}) of
        [{_, K}] when K > 0 ->
            ets:insert(bench, {{broken, N}, K - 1}),
            note("?", N),
            {error, broken};
        _ ->
            note("+", N),
            Parent = self(),
            Pid = spawn_link(fun() -> process_flag(trap_exit, true), Parent ! ready, child(Parent, N) end),
            receive ready -> ok end,
            ets:insert(bench, {{pid, N}, Pid}),
            {ok, Pid}
    end.

child(Parent, N) ->
    receive
        {'EXIT', Parent, Reason} -> note("-", N), exit(Reason);
        {leave, Reason} -> exit(Reason)
    end.

note(Sign, N) ->
    ets:insert(bench, {{story, erlang:unique_integer([monotonic])}, Sign ++ integer_to_list(N)}).

story(End) ->
    Keys = ets:match(bench, {{story, '$1'}, '$2'}),
    ets:match_delete(bench, {{story, '_'}, '_'}),
    lists:flatten(lists:join(" ", [W || [_, W] <- lists:sort(Keys)] ++ End)).

play([], _, _, Parts) -> Parts;
play(["start" | Rest], {Flags, Specs} = What, _, Parts) ->
    case supervisor:start_link(?MODULE, {Flags, Specs}) of
        {ok, Sup} -> play(Rest, What, Sup, [story([]) | Parts]);
        {error, _} -> receive {'EXIT', _, _} -> ok after 100 -> ok end, play(Rest, What, undefined, [story(["!"]) | Parts])
    end;
play(["stop" | Rest], What, Sup, Parts) ->
    unlink(Sup),
    exit(Sup, shutdown),
    Ref = monitor(process, Sup),
    exit(Sup, shutdown),
    receive {'DOWN', Ref, _, _, _} -> ok after 200 -> gen_server:stop(Sup, shutdown, 5000), receive {'DOWN', Ref, _, _, _} -> ok end end,
    play(Rest, What, undefined, [story(["."]) | Parts]);
play(["wait:" ++ S | Rest], What, Sup, Parts) ->
    put(clock, get(clock) + 1000 * list_to_integer(S)),
    timer:sleep(max(0, get(clock) - erlang:monotonic_time(millisecond))),
    play(Rest, What, Sup, Parts);
play([Event | Rest], What, Sup, Parts) ->
    [Child | Reason] = string:split(Event, ":"),
    N = list_to_integer(Child),
    case Reason of
        ["broken:" ++ K] ->
            ets:insert(bench, {{broken, N}, list_to_integer(K)}),
            play(Rest, What, Sup, Parts);
        [Word] ->
            [{_, Pid}] = ets:lookup(bench, {pid, N}),
            case Word of
                "normal" -> Pid ! {leave, normal};
                "shutdown" -> Pid ! {leave, shutdown};
                "shutdown:" ++ T -> Pid ! {leave, {shutdown, T}};
                "fail" -> Pid ! {leave, failed};
                "killed" -> exit(Pid, kill)
            end,
            %% Long enough for a supervisor to come to rest, short enough to stay in the same second.
            put(late, get(late) orelse erlang:monotonic_time(millisecond) - get(clock) > 700),
            receive {'EXIT', Sup, shutdown} -> play(Rest, What, Sup, [story(["!"]) | Parts])
            after 60 -> play(Rest, What, Sup, [story([]) | Parts])
            end
    end.

init({Flags, Specs}) -> {ok, {Flags, Specs}}.
